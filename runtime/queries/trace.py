"""Gather a run as a trace: what its item was when, what its steps made, called, asked for and left behind.

Bounded, whatever the run has become: of long lists the latest entries are taken, and how many were left out is told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

from runtime import clock
from runtime.choices import TERMINAL, EventKind, State
from runtime.models import Artifact, Event, JournalEntry, Snapshot, Wait, WorkItem
from runtime.queries.jsondiff import Difference, compare_shown
from runtime.queries.redaction import shown
from runtime.queries.verify import one_moment
from runtime.queries.weight import fitting
from runtime.queries.why import why
from runtime.store import work_database

MOST_EVENTS = 2000
MOST_ROWS = 500
MOST_PLACES = 50
HEAVY: dict[type[Model], tuple[str, ...]] = {
    Event: ("data",),
    Snapshot: ("data",),
    JournalEntry: ("result", "error"),
    Wait: ("data", "default", "resolution"),
    Artifact: ("metadata",),
}
"""The columns by which the rows of a list are weighed."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Latest(Generic[T]):
    """The latest rows, oldest first, and how many before them were left out."""

    rows: tuple[T, ...]
    left_out: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of time in one state, on one worker while it ran; `end` is that of the trace where it goes on."""

    state: str
    worker: str
    start: dt.datetime
    end: dt.datetime

    @property
    def seconds(self) -> float:
        """How long it was."""
        return max(0.0, (self.end - self.start).total_seconds())


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A snapshot, what it changed (None: the one before is not at hand), its seconds, and retries before it.

    The change is told as people are shown states: masked.
    """

    snapshot: Snapshot
    change: Difference | None
    duration: float | None
    retries: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """A run, as of `at`."""

    item: WorkItem
    at: dt.datetime
    why: str
    spans: tuple[Span, ...]
    events: Latest[Event]
    steps: Latest[Step]
    calls: Latest[JournalEntry]
    waits: Latest[Wait]
    artifacts: Latest[Artifact]
    children: Latest[WorkItem]
    forks: Latest[WorkItem]


def trace(item: WorkItem, *, using: str | None = None) -> Trace:
    """Return the trace of an item, everything read at one moment but for why it is where it is."""
    using = using or work_database()
    explained = why(item, using=using).text
    with one_moment(using):
        found = WorkItem.objects.using(using).get(pk=item.pk)
        return _trace(found, explained, clock.now(using), using)


def _trace(item: WorkItem, explained: str, now: dt.datetime, using: str) -> Trace:
    def of(model: type[Any], order: str = "id", most: int = MOST_ROWS) -> Latest[Any]:
        return _latest(model._default_manager.using(using).filter(work_item=item), order, most)

    events = of(Event, "seq", MOST_EVENTS)
    related = WorkItem.objects.using(using).only("id", "engine", "state", "relation", "forked_version")
    return Trace(
        item=item,
        at=now,
        why=explained,
        spans=tuple(_spans(events.rows, item.finished_at or now)),
        events=events,
        steps=_steps(of(Snapshot, "version"), events.rows),
        calls=of(JournalEntry),
        waits=of(Wait),
        artifacts=of(Artifact),
        children=_latest(related.filter(parent=item), "id", MOST_ROWS),
        forks=_latest(related.filter(forked_from=item), "id", MOST_ROWS),
    )


def _latest(rows: QuerySet[Any], order: str, most: int) -> Latest[Any]:
    latest = rows.order_by(f"-{order}")
    columns = HEAVY.get(rows.model)
    fit = most if columns is None else fitting(latest, *columns, most=most)
    found = list(latest[:fit])[::-1]
    return Latest(rows=tuple(found), left_out=rows.count() - len(found) if len(found) == fit else 0)


def _steps(snapshots: Latest[Snapshot], events: Sequence[Event]) -> Latest[Step]:
    durations = {event.version: event.duration for event in events if event.kind == EventKind.STEP}
    retries: dict[int, int] = {}
    for event in events:
        if event.kind == EventKind.RETRY:
            retries[event.version + 1] = retries.get(event.version + 1, 0) + 1
    steps: list[Step] = []
    before: Snapshot | None = None
    for one in snapshots.rows:
        follows = before is not None and before.version == one.version - 1
        change = _change(before, one) if follows and before is not None else None
        steps.append(
            Step(
                snapshot=one,
                change=change,
                duration=durations.get(one.version),
                retries=retries.get(one.version, 0),
            )
        )
        before = one
    return Latest(rows=tuple(steps), left_out=snapshots.left_out)


def _change(before: Snapshot, after: Snapshot) -> Difference:
    return compare_shown(before.data, after.data, shown, most=MOST_PLACES)


_LEADS_TO: dict[str, str] = {
    EventKind.ENQUEUED: State.QUEUED,
    EventKind.CLAIMED: State.RUNNING,
    EventKind.WAITED: State.QUEUED,
    EventKind.RETRY: State.QUEUED,
    EventKind.RELEASED: State.QUEUED,
    EventKind.RECOVERED: State.QUEUED,
    EventKind.REQUEUED: State.QUEUED,
    EventKind.REDRIVEN: State.QUEUED,
    EventKind.FOLLOWED_UP: State.QUEUED,
    EventKind.WOKEN: State.QUEUED,
    EventKind.ASKED: State.WAITING,
    EventKind.PAUSED: State.PAUSED,
    EventKind.HELD: State.PAUSED,
    EventKind.DONE: State.DONE,
    EventKind.FAILED: State.FAILED,
    EventKind.CANCELLED: State.CANCELLED,
    EventKind.IMPORTED: State.PAUSED,
}


def _spans(events: Sequence[Event], end: dt.datetime) -> Iterator[Span]:
    """Yield the states the item was in, as its events tell; what they do not tell of lasts until they do."""
    state, worker, since = "", "", end
    before = ""
    for event, then in zip(events, [*events[1:], None], strict=True):
        after = _state_after(event, state, then, before)
        before = _paused_from(event, state) if after == State.PAUSED != state else before
        owner = str(event.worker or "") if after == State.RUNNING and event.kind == EventKind.CLAIMED else worker
        if (after, owner) == (state, worker):
            continue
        if state and state not in TERMINAL:
            yield Span(state=state, worker=worker, start=since, end=event.created_at)
        state, worker, since = after, owner if after == State.RUNNING else "", event.created_at
    if state and state not in TERMINAL:
        yield Span(state=state, worker=worker, start=since, end=max(end, since))


def _paused_from(event: Event, state: str) -> str:
    """Return the state that an item goes back to from a pause; of one whose beginning is left out, the event tells."""
    data = event.data if isinstance(event.data, dict) else {}
    return State.WAITING.value if State.WAITING in (state, data.get("state")) else State.QUEUED.value


def _state_after(event: Event, state: str, then: Event | None, before_pause: str) -> str:
    """Return the state that an event left its item in; after a step, which goes on or not, the next event tells."""
    data = event.data if isinstance(event.data, dict) else {}
    if data.get("requested") or data.get("withdrawn"):
        return state
    if data.get("waits_for"):
        return State.WAITING.value
    if event.kind == EventKind.RESUMED:
        return before_pause or State.QUEUED.value
    claimed_next = then is not None and then.kind == EventKind.CLAIMED
    if event.kind == EventKind.STEP and (data.get("delay") or claimed_next):
        return State.QUEUED
    if event.kind == EventKind.IMPORTED and state in TERMINAL:
        return state
    return str(_LEADS_TO.get(event.kind, state))
