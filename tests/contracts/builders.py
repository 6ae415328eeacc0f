"""Build what the store takes, and play a worker that holds items: for every store, through its contract alone."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from runtime.choices import EventKind, State
from runtime.conformance import hand
from runtime.conformance.hand import new_item
from runtime.conformance.stage import Stage
from runtime.models import Event, Lease, ResourceClaim, Snapshot, WorkItem
from runtime.store import get_store
from runtime.store.values import Move
from runtime.testing import advance
from tests.factories import WorkerFactory

PATIENCE = 20.0


def put(**values: Any) -> uuid.UUID:
    """Insert an item and return its id."""
    item = new_item(**values)
    assert get_store().insert([item]) == {item.id}
    return item.id


class Hand(hand.Hand):
    """A worker's hand, with a row of its own: it claims anything."""

    def __init__(self) -> None:
        super().__init__(get_store(), WorkerFactory().pk)


def played(check: Callable[[Stage], None]) -> None:
    """Play a check of the conformance kit on the store of the suite."""
    with Stage(get_store()) as stage:
        check(stage)


def item(pk: uuid.UUID) -> WorkItem:
    """Read an item."""
    return WorkItem.objects.get(pk=pk)


def kinds(pk: uuid.UUID) -> list[str]:
    """Return the kinds of an item's events, and make sure that they are numbered without a gap."""
    events = list(Event.objects.filter(work_item=pk).order_by("seq"))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert item(pk).event_seq == len(events)
    return [event.kind for event in events]


def last_event(pk: uuid.UUID) -> Event:
    """Return an item's latest event."""
    return Event.objects.filter(work_item=pk).latest("seq")


def versions(pk: uuid.UUID) -> list[int]:
    """Return the versions of an item's snapshots."""
    return list(Snapshot.objects.filter(work_item=pk).order_by("version").values_list("version", flat=True))


def claims(pk: uuid.UUID) -> list[tuple[str, bool]]:
    """Return an item's claims: key, and whether it is held."""
    found = ResourceClaim.objects.filter(work_item=pk).order_by("resource__key")
    return list(found.values_list("resource__key", "held"))


def traces(pk: uuid.UUID) -> tuple[Any, ...]:
    """Return everything that a write about an item could change."""
    row = WorkItem.objects.filter(pk=pk).values().get()
    return (
        row,
        list(Event.objects.filter(work_item=pk).order_by("seq").values()),
        list(Snapshot.objects.filter(work_item=pk).order_by("version").values()),
        list(Lease.objects.filter(pk=pk).values()),
        list(ResourceClaim.objects.filter(work_item=pk).order_by("pk").values()),
        list(WorkItem.objects.filter(parent=pk).values()),
        list(row and WorkItem.objects.get(pk=pk).artifacts.order_by("pk").values()),
    )


def moved(pk: uuid.UUID, kind: str = EventKind.REQUEUED, **values: Any) -> WorkItem:
    """Move an item as an operator would and return it."""
    found, changed = get_store().move(pk, lambda _: Move(kind=kind, **values), actor="ann", reason="because")
    assert changed
    return found


def cancelled(pk: uuid.UUID) -> WorkItem:
    """Cancel an item."""
    return moved(pk, EventKind.CANCELLED, state=State.CANCELLED, reason="", fence=True)


@contextmanager
def after(seconds: float) -> Iterator[None]:
    """Play the block at a later time of the database's clock."""
    with advance(seconds):
        yield


def undone(work: Callable[[], Any]) -> None:
    """Run the work in a transaction that is rolled back."""
    with transaction.atomic():
        work()
        transaction.set_rollback(True)


class Together:
    """Runs calls at once, each in a thread with a connection of its own; `results()` waits for them all."""

    def __init__(self, calls: Sequence[Callable[[], Any]]) -> None:
        self._answers: list[Any] = [None] * len(calls)
        self._errors: list[BaseException] = []
        barrier = threading.Barrier(len(calls))
        self._threads = [
            threading.Thread(target=self._run, args=(place, call, barrier), daemon=True)
            for place, call in enumerate(calls)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, place: int, call: Callable[[], Any], barrier: threading.Barrier) -> None:
        try:
            barrier.wait(PATIENCE)
            self._answers[place] = call()
        except BaseException as error:  # noqa: BLE001 - told to the test by results()
            self._errors.append(error)
        finally:
            connections.close_all()

    def running(self) -> bool:
        """Say whether any call is still under way."""
        return any(thread.is_alive() for thread in self._threads)

    def results(self) -> list[Any]:
        """Return what the calls returned, in order; raise what any of them raised."""
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a call still waits for something"
        if self._errors:
            raise self._errors[0]
        return self._answers


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.005)


def waiting_for_locks() -> int:
    """Return how many sessions of this database wait for a lock of another: PostgreSQL's own word."""
    with connections["default"].cursor() as cursor:
        # Within a transaction the view would go on showing what it showed first.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])
