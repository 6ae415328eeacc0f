"""Make rows as Roost itself would have left them: each item with its events, snapshots, lease and claims.

    WorkItemFactory()                        queued, with its `enqueued` event
    WorkItemFactory(running=True, version=3) running at version 3, with snapshots 0…3, a lease and a worker
    WorkItemFactory(failed=True)             a dead letter with its error

Rows are written past the store on purpose: tests of queries and the console want any state at once.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import factory
from django.db import DEFAULT_DB_ALIAS
from factory.django import DjangoModelFactory

from runtime import artifacts, clock
from runtime.choices import EventKind, Reason, State
from runtime.models import (
    Artifact,
    Blob,
    Event,
    JournalEntry,
    Lease,
    Mailbox,
    Resource,
    ResourceClaim,
    Signal,
    Snapshot,
    Wait,
    Worker,
    WorkItem,
)

ERROR = {"type": "RetryableError", "code": "retryable", "message": "It failed.", "traceback": "", "attempt": 5}
LAST_EVENT = {
    State.RUNNING: EventKind.CLAIMED,
    State.PAUSED: EventKind.PAUSED,
    State.DONE: EventKind.DONE,
    State.FAILED: EventKind.FAILED,
    State.CANCELLED: EventKind.CANCELLED,
}


def now(shift: float = 0.0) -> dt.datetime:
    """Return the database's time, moved by `shift` seconds."""
    return clock.now(DEFAULT_DB_ALIAS) + dt.timedelta(seconds=shift)


class WorkerFactory(DjangoModelFactory[Worker]):
    """A worker process that beats."""

    class Meta:
        model = Worker

    host = factory.Sequence(lambda number: f"host-{number}")
    boot_id = "boot"
    pid_namespace = "pid:[1]"
    pid = factory.Sequence(lambda number: 10_000 + number)
    process_started = "1"
    engines = ["counter"]
    capacity = 50
    started_at = factory.LazyFunction(now)
    heartbeat_at = factory.LazyFunction(now)


class WorkItemFactory(DjangoModelFactory[WorkItem]):
    """An item in any state; `state` is set through the traits running, waiting, paused, done, failed, cancelled."""

    class Meta:
        model = WorkItem
        skip_postgeneration_save = True

    class Params:
        ended = factory.Trait(started_at=factory.LazyFunction(now), finished_at=factory.LazyFunction(now))
        running = factory.Trait(state=State.RUNNING, reason="", epoch=1, started_at=factory.LazyFunction(now))
        waiting = factory.Trait(
            state=State.WAITING, reason=Reason.SIGNAL, epoch=1, away_since=factory.LazyFunction(now)
        )
        paused = factory.Trait(
            state=State.PAUSED,
            reason=Reason.OPERATOR,
            paused_from=State.QUEUED,
            epoch=1,
            away_since=factory.LazyFunction(now),
        )
        done = factory.Trait(ended=True, state=State.DONE, reason="", epoch=1, version=1, result={"ok": True})
        failed = factory.Trait(
            ended=True,
            state=State.FAILED,
            reason=Reason.ATTEMPTS_EXHAUSTED,
            epoch=1,
            attempt=5,
            last_error=ERROR,
            fingerprint="0123456789abcdef",
        )
        cancelled = factory.Trait(ended=True, state=State.CANCELLED, reason="", epoch=1)

    engine = "counter"
    payload = factory.LazyFunction(lambda: {"count_to": 3})
    resources = factory.LazyFunction(list)
    limited = factory.LazyAttribute(lambda item: bool(item.resources))
    state = State.QUEUED
    reason = Reason.NEW
    run_at = factory.LazyFunction(now)
    max_attempts = 5
    version = 0
    steps_total = factory.SelfAttribute("version")
    created_at = factory.LazyFunction(now)
    updated_at = factory.LazyFunction(now)

    @factory.post_generation
    def snapshots(self, create: bool, given: Any, **_more: Any) -> None:
        """Write snapshots 0…version of an item that has committed a step; `snapshots=False` leaves them out."""
        if create and given is not False and self.version:
            for version in range(self.version + 1):
                SnapshotFactory(work_item=self, version=version)

    @factory.post_generation
    def history(self, create: bool, given: Any, **_more: Any) -> None:
        """Write `enqueued` and the event that led to the state."""
        if not create:
            return
        EventFactory(work_item=self, kind=EventKind.ENQUEUED, version=0, epoch=0)
        last = LAST_EVENT.get(State(self.state))
        if last is not None:
            EventFactory(work_item=self, kind=last, version=self.version, epoch=self.epoch, reason=self.reason)

    @factory.post_generation
    def lease_row(self, create: bool, given: Any, **values: Any) -> None:
        """Give a running item its lease; `lease_row__worker=…` names the owner."""
        if create and given is not False and self.state == State.RUNNING:
            LeaseFactory(work_item=self, **values)


class SnapshotFactory(DjangoModelFactory[Snapshot]):
    """The state after a step."""

    class Meta:
        model = Snapshot

    work_item = factory.SubFactory(WorkItemFactory)
    version = 0
    epoch = factory.LazyAttribute(lambda snapshot: snapshot.work_item.epoch)
    data = factory.LazyAttribute(lambda snapshot: {"count": snapshot.version})
    label = factory.LazyAttribute(lambda snapshot: f"step {snapshot.version}" if snapshot.version else "")
    created_at = factory.LazyFunction(now)


class EventFactory(DjangoModelFactory[Event]):
    """The next event of an item: takes its number from the item and moves `event_seq` on."""

    class Meta:
        model = Event

    work_item = factory.SubFactory(WorkItemFactory)
    kind = EventKind.LOG
    version = factory.LazyAttribute(lambda event: event.work_item.version)
    epoch = factory.LazyAttribute(lambda event: event.work_item.epoch)
    created_at = factory.LazyFunction(now)

    @classmethod
    def _create(cls, model_class: type[Event], *args: Any, **values: Any) -> Event:
        item = values["work_item"]
        item.event_seq += 1
        WorkItem.objects.filter(pk=item.pk).update(event_seq=item.event_seq)
        return super()._create(model_class, *args, **{"seq": item.event_seq, **values})


class LeaseFactory(DjangoModelFactory[Lease]):
    """A lease that is good for a while; `expired=True` makes one that is over."""

    class Meta:
        model = Lease

    class Params:
        expired = factory.Trait(expires_at=factory.LazyFunction(lambda: now(-1)))

    work_item = factory.SubFactory(WorkItemFactory, running=True, lease_row=False)
    worker = factory.SubFactory(WorkerFactory)
    epoch = factory.LazyAttribute(lambda lease: lease.work_item.epoch)
    acquired_at = factory.LazyFunction(now)
    expires_at = factory.LazyFunction(lambda: now(15))


class ResourceFactory(DjangoModelFactory[Resource]):
    """A named lock."""

    class Meta:
        model = Resource

    key = factory.Sequence(lambda number: f"resource:{number}")


class ResourceClaimFactory(DjangoModelFactory[ResourceClaim]):
    """A claim that is held by a running item; `held=False` makes one that is wanted by a parked item."""

    class Meta:
        model = ResourceClaim

    resource = factory.SubFactory(ResourceFactory)
    held = True
    work_item = factory.Maybe(
        "held",
        factory.SubFactory(WorkItemFactory, running=True, limited=True),
        factory.SubFactory(WorkItemFactory, reason=Reason.RESOURCE, limited=True),
    )
    epoch = factory.LazyAttribute(lambda claim: claim.work_item.epoch if claim.held else 0)
    created_at = factory.LazyFunction(now)
    acquired_at = factory.LazyAttribute(lambda claim: claim.created_at if claim.held else None)


class WaitFactory(DjangoModelFactory[Wait]):
    """Something that a waiting item asks for, open: an approval unless `kind` says otherwise."""

    class Meta:
        model = Wait

    work_item = factory.SubFactory(
        WorkItemFactory, waiting=True, asked=True, reason=factory.LazyAttribute(lambda item: item.factory_parent.kind)
    )
    base_version = factory.LazyAttribute(lambda wait: wait.work_item.version)
    key = "question"
    kind = "approval"
    signal_name = factory.LazyAttribute(lambda wait: wait.key if wait.kind == "signal" else "")
    created_at = factory.LazyFunction(now)


class SignalFactory(DjangoModelFactory[Signal]):
    """A signal that nobody has taken."""

    class Meta:
        model = Signal

    namespace = "default"
    name = "go"
    created_at = factory.LazyFunction(now)


class MailboxFactory(DjangoModelFactory[Mailbox]):
    """A name that signals are sent to."""

    class Meta:
        model = Mailbox

    namespace = "default"
    name = factory.Sequence(lambda number: f"name-{number}")


class JournalEntryFactory(DjangoModelFactory[JournalEntry]):
    """A recorded call that succeeded."""

    class Meta:
        model = JournalEntry

    work_item = factory.SubFactory(WorkItemFactory)
    base_version = 0
    key = "call"
    input_hash = "0" * 64
    idempotency_key = "key"
    state = "succeeded"
    epoch = 1
    started_at = factory.LazyFunction(now)
    ended_at = factory.LazyFunction(now)


class ArtifactFactory(DjangoModelFactory[Artifact]):
    """A file whose bytes (`content`) are in the artifact storage."""

    class Meta:
        model = Artifact
        exclude = ("prepared",)

    class Params:
        content = b"content"

    work_item = factory.SubFactory(WorkItemFactory, done=True)
    version = factory.LazyAttribute(lambda artifact: artifact.work_item.version)
    name = factory.Sequence(lambda number: f"file-{number}.txt")
    kind = "other"
    prepared = factory.LazyAttribute(lambda row: artifacts.prepare(row.name, row.content, kind=row.kind))
    content_type = factory.LazyAttribute(lambda row: row.prepared.content_type)
    size = factory.LazyAttribute(lambda row: row.prepared.size)
    blob = factory.LazyAttribute(lambda row: _stored(row.prepared))
    created_at = factory.LazyFunction(now)


def _stored(prepared: artifacts.Prepared) -> Blob:
    artifacts.write(prepared)
    blob, _made = Blob.objects.get_or_create(
        sha256=prepared.sha256, defaults={"size": prepared.size, "path": prepared.path, "touched_at": now()}
    )
    return blob
