"""Say exactly why an item is not running, or where it is running, in words and as codes.

The causes come from what the claim itself looks at: the due time, the parking, the resources, the limits and whose
turn it is, the workers that offer the item's engine and pool, and the rule that suspects are claimed alone. The most
decisive cause comes first.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runtime import clock
from runtime.choices import LIVE, TERMINAL, EventKind, Reason, State
from runtime.models import Event, Lease, WorkItem
from runtime.queries import journal, waits
from runtime.queries.causes import Cause, by, error_of, since
from runtime.queries.why_queued import queued
from runtime.queries.words import for_people, moment
from runtime.sentences import Sentence, together
from runtime.sentences import say as _
from runtime.store import work_database
from runtime.store.going import is_going


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why an item is where it is, as of `at` (the database's clock)."""

    item: uuid.UUID
    state: str
    at: dt.datetime
    causes: tuple[Cause, ...]

    @property
    def text(self) -> Sentence:
        """The causes in one line."""
        return together(cause.text for cause in self.causes)

    @property
    def codes(self) -> tuple[str, ...]:
        """The causes' codes."""
        return tuple(cause.code for cause in self.causes)


def why(item: WorkItem, *, using: str | None = None) -> Explanation:
    """Return why the item, as it was read, is where it is. Makes a handful of queries and changes nothing."""
    using = using or work_database()
    now = clock.now(using)
    causes = (
        *_overdue(item, now),
        *_BY_STATE[item.state](item, now, using),
        *_doubts(item, using),
        *_hold(item, using),
        *_going(item, using),
    )
    return Explanation(item=item.pk, state=item.state, at=now, causes=causes)


def _overdue(item: WorkItem, now: dt.datetime) -> Iterator[Cause]:
    """Tell what the next sweep will do, from the sweep's own conditions."""
    if item.deadline_at is not None and item.deadline_at <= now and item.state in LIVE - {State.RUNNING}:
        text = _("Its deadline passed at %(at)s: the next sweep fails it.", at=moment(item.deadline_at))
        yield Cause(code="deadline", text=text, data={"deadline": item.deadline_at})
    if item.timeout_at is not None and item.timeout_at <= now and item.state in {State.QUEUED, State.RUNNING}:
        text = _("Its time was up at %(at)s: the next sweep fails it.", at=moment(item.timeout_at))
        yield Cause(code="timeout", text=text, data={"timeout": item.timeout_at})


def _doubts(item: WorkItem, using: str) -> Iterator[Cause]:
    """Name the calls of the item's step that were cut off."""
    doubted = journal.in_doubt(item, using=using)
    asked = journal.asked_about(item, doubted, using=using)
    for entry in doubted:
        question = asked.get(entry.pk)
        mend = _("`roost journal reset %(item)s %(key)s` has it made again.", item=item.pk, key=entry.key)
        if question is not None:
            mend = _("`roost respond %(item)s %(question)s` decides.", item=item.pk, question=question)
        text = _(
            "The call %(key)r (%(name)s) began at %(at)s and was cut off: nobody knows whether it happened.",
            key=entry.key,
            name=entry.name,
            at=moment(entry.started_at),
        )
        yield Cause(
            code="in_doubt",
            text=together([text, mend]),
            data={"key": entry.key, "name": entry.name, "since": entry.started_at, "attempts": entry.attempts},
        )


def _hold(item: WorkItem, using: str) -> Iterator[Cause]:
    """Tell who has put the item on legal hold, which keeps it in no state."""
    if item.legal_hold:
        rows = Event.objects.using(using).filter(work_item=item, kind=EventKind.LEGAL_HOLD)
        told = rows.order_by("-seq").first()
        text = _(
            "On legal hold%(by)s%(since)s%(note)s: it is never pruned. `roost unhold %(item)s` lifts it.",
            by=by(told.actor if told else ""),
            since=since(told.created_at if told else None),
            note=f" ({told.reason})" if told and told.reason else "",
            item=item.pk,
        )
        yield Cause(code="legal_hold", text=text, data={"actor": told.actor if told else ""})


def _going(item: WorkItem, using: str) -> Iterator[Cause]:
    """Tell that pruning has begun to take the item away."""
    if item.state in TERMINAL and is_going(item.pk, using=using):
        text = _(
            "It was kept for as long as it had to be, and is being removed now: the next rounds of pruning end it."
        )
        yield Cause(code="being_removed", text=text)


def _running(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    lease = Lease.objects.using(using).filter(pk=item.pk).select_related("worker").first()
    if lease is None:
        yield Cause(
            code="no_lease", text=_("Running without a lease: `roost verify %(item)s` tells more.", item=item.pk)
        )
        return
    worker = getattr(lease, "worker", None)
    facts = {"worker": lease.worker_id, "since": lease.acquired_at, "until": lease.expires_at, "epoch": lease.epoch}
    yield Cause(
        code="running",
        text=_(
            "Running on worker %(worker)s since %(since)s, lease until %(until)s.",
            worker=worker or lease.worker_id,
            since=moment(lease.acquired_at),
            until=moment(lease.expires_at),
        ),
        data=facts,
    )
    if lease.expires_at <= now:
        text = _("The lease has expired: the next sweep takes the item back.")
        yield Cause(code="lease_expired", text=text, data=facts)
    if item.pause_requested:
        yield Cause(code="pause_requested", text=_("It pauses at the end of the running step."))
    if item.pause_at_step is not None:
        text = _(
            "It pauses after %(wanted)d steps; it has made %(made)d.", wanted=item.pause_at_step, made=item.steps_total
        )
        yield Cause(code="pause_after", text=text, data={"pause_at_step": item.pause_at_step})


def _waiting(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    yield Cause(
        code="waiting",
        text=_("Waiting%(since)s: %(reason)s.", since=since(item.away_since), reason=for_people(item.reason)),
        data={"reason": item.reason, "since": item.away_since},
    )
    yield from _waits(item, using)


def _waits(item: WorkItem, using: str) -> Iterator[Cause]:
    found = [view for view in waits.of_item(item, using=using) if view.holds]
    for view in found:
        yield Cause(code=view.wait.kind, text=view.text, data=view.facts)
    if len(found) > 1 and found[0].wait.needed == "any":
        yield Cause(code="any", text=_("Any one of these is enough."))


def _paused(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    if item.reason == Reason.HELD:
        yield _held(item, using)
        return
    told = Event.objects.using(using).filter(work_item=item, kind=EventKind.PAUSED).order_by("-seq").first()
    note = f" ({told.reason})" if told and told.reason and told.reason != item.reason else ""
    yield Cause(
        code="paused",
        text=_(
            "Paused%(by)s%(since)s: %(reason)s%(note)s. `roost resume %(item)s` lets it go on.",
            by=by(told.actor if told else ""),
            since=since(item.away_since),
            reason=for_people(item.reason),
            note=note,
            item=item.pk,
        ),
        data={"reason": item.reason, "since": item.away_since, "actor": told.actor if told else ""},
    )
    if item.paused_from == State.WAITING:
        yield from _waits(item, using)


def _held(item: WorkItem, using: str) -> Cause:
    """Tell what the worker that held it said: the code here may be other code."""
    told = Event.objects.using(using).filter(work_item=item, kind=EventKind.HELD).order_by("-seq").first()
    facts = (told.data if told else None) or {}
    return Cause(
        code="held",
        text=_(
            "Held since %(at)s: %(objection)s A worker with code that fits takes it up; `roost preflight` says whether "
            "the code here does.",
            at=moment(item.away_since),
            objection=facts.get("message") or _("its code does not fit."),
        ),
        data={"since": item.away_since, "engine_version": item.engine_version, "objection": facts.get("code", "")},
    )


def _ended(item: WorkItem, now: dt.datetime, using: str) -> Iterator[Cause]:
    text = _(
        "Ended as %(state)s%(at)s%(because)s.",
        state=State(item.state).label,
        at=_(" at %(moment)s", moment=moment(item.finished_at)) if item.finished_at else "",
        because=_(": %(reason)s", reason=for_people(item.reason)) if item.reason else "",
    )
    yield Cause(
        code=item.state,
        text=together([text, error_of(item) if item.state == State.FAILED else ""]),
        data={"reason": item.reason, "error": item.last_error if item.state == State.FAILED else None},
    )


_BY_STATE: dict[str, Callable[[WorkItem, dt.datetime, str], Iterator[Cause]]] = {
    State.QUEUED: queued,
    State.RUNNING: _running,
    State.WAITING: _waiting,
    State.PAUSED: _paused,
    State.DONE: _ended,
    State.FAILED: _ended,
    State.CANCELLED: _ended,
}
