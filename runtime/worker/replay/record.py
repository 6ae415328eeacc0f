"""Read what is recorded of a run: what each of its steps was given, and what it came to."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count

from runtime.asks import Answer
from runtime.choices import EventKind, WaitState
from runtime.journal.entries import WHOLE_RUN, Entry
from runtime.models import Event, JournalEntry, PrunedHistory, Snapshot, Wait, WorkItem
from runtime.store.waits import ANSWERED
from runtime.worker.asking import Told

_TELLING = (
    *(EventKind.CHILD, EventKind.STEP, EventKind.RETRY, EventKind.WAITED, EventKind.DONE, EventKind.IMPORTED),
    *(EventKind.FAILED, EventKind.FORKED, EventKind.REDRIVEN, EventKind.REQUEUED, EventKind.FOLLOWED_UP),
)
_AFRESH = frozenset({EventKind.REDRIVEN, EventKind.REQUEUED, EventKind.FOLLOWED_UP})
"""Moves after which a step's attempts are counted from the beginning."""
_UNDER_WAY = -1
"""Stands for the step that the events being read belong to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A child that a step spawned: its id, and its engine where that is recorded."""

    id: uuid.UUID
    engine: str


@dataclass(kw_only=True, slots=True)
class History:
    """What the events of a run tell of the step that starts from each version (of its last run, where it ran again).

    Of steps up to the one that made version `pruned_through`, events or answers have been pruned.
    `imported` has, for each import, the event's number, the id that the run had before it, and its namespace then.
    """

    children: dict[int, list[Child]] = field(default_factory=lambda: defaultdict(list))
    failures: dict[int, int] = field(default_factory=dict)
    waited: set[int] = field(default_factory=set)
    done_at: set[int] = field(default_factory=set)
    step_at: dict[int, int] = field(default_factory=dict)
    failed_at: int = 0
    imported: list[tuple[int, uuid.UUID | None, str]] = field(default_factory=list)
    forked: bool = False
    redacted: bool = False
    pruned_through: int = -1

    def name(self, base: int, item: WorkItem) -> tuple[uuid.UUID, str]:
        """Return the id and the namespace that the item had when the step from `base` ran: an import gives others."""
        seq = self.step_at.get(base + 1, self.failed_at)
        for imported_at, before, namespace in self.imported:
            if before is not None and imported_at > seq:
                return before, namespace or item.namespace
        return item.pk, item.namespace


def history(item: WorkItem, using: str) -> History:
    """Read the events of a run."""
    pruned = PrunedHistory.objects.using(using).filter(pk=item.pk).first()
    found = History(pruned_through=-1 if pruned is None else pruned.steps_through + 1)
    told = Event.objects.using(using).filter(work_item=item, kind__in=_TELLING).order_by("seq")
    for event in told.only("seq", "kind", "version", "attempt", "reason", "data").iterator(chunk_size=500):
        _take(found, event)
    found.children[item.version] = found.children.pop(_UNDER_WAY, [])
    return found


def _take(found: History, event: Event) -> None:
    data: Any = event.data if isinstance(event.data, dict) else {}
    if event.kind == EventKind.CHILD:
        child = _id(data.get("child"))
        if child is not None and not event.reason:  # one of a trigger has its name here
            found.children[_UNDER_WAY].append(Child(id=child, engine=str(data.get("engine", ""))))
    elif event.kind == EventKind.STEP:
        found.children[event.version - 1] = found.children.pop(_UNDER_WAY, [])
        found.step_at[event.version] = event.seq
    elif event.kind == EventKind.RETRY:
        found.failures[event.version] = event.attempt
    elif event.kind == EventKind.WAITED:
        found.waited.add(event.version)
    elif event.kind == EventKind.DONE:
        found.done_at.add(event.version)
    elif event.kind == EventKind.FAILED:
        found.failed_at = event.seq
    else:
        _take_move(found, event, data)


def _take_move(found: History, event: Event, data: Any) -> None:
    if event.kind in _AFRESH:
        found.failures.pop(event.version, None)
        if "from_version" in data:
            found.children.pop(_UNDER_WAY, None)
    elif event.kind == EventKind.IMPORTED:
        found.imported.append((event.seq, _id(data.get("from")), str(data.get("namespace") or "")))
        found.redacted = found.redacted or bool(data.get("redacted"))
    elif event.kind == EventKind.FORKED:
        found.forked = found.forked or "from" in data


def _id(text: Any) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except (ValueError, TypeError, AttributeError):
        return None


# What a step was given ------------------------------------------------------------------------------------------------


def told(item: WorkItem, base: int, children: Iterable[Child], using: str) -> Told:
    """Return the answers that the step from `base` had in the end, and the children that it had spawned."""
    waits = Wait.objects.using(using).filter(work_item=item, base_version=base)
    used = waits.filter(state=WaitState.CONSUMED, consumed_version=base + 1)
    found = used if base < item.version else waits.filter(ANSWERED)
    answers = [_answer(wait) for wait in found.order_by("created_at", "pk")]
    return Told({answer.key: answer for answer in answers}, tuple(child.id for child in children))


def _answer(wait: Wait) -> Answer:
    by_time = _passed(wait.expires_at, wait.resolved_at) and not wait.answers
    expired = wait.state == WaitState.EXPIRED or (wait.has_default and by_time)
    last: Any = wait.answers[-1] if isinstance(wait.answers, list) and wait.answers and not expired else None
    reason = str(last.get("reason", "")) if isinstance(last, dict) else ""
    return Answer(
        key=wait.key,
        kind=wait.kind,
        value=wait.resolution,
        by=wait.resolved_by,
        reason=reason,
        expired=expired,
        at=wait.resolved_at,
    )


def _passed(end: dt.datetime | None, at: dt.datetime | None) -> bool:
    return end is not None and at is not None and at >= end


def calls(item: WorkItem, base: int, using: str) -> dict[tuple[int, str], Entry]:
    """Return what is recorded of the calls that the step from `base` could make."""
    rows = JournalEntry.objects.using(using).filter(work_item=item, base_version__in=(base, WHOLE_RUN))
    return {(row.base_version, row.key): _entry(row) for row in rows}


def calls_before(item: WorkItem, base: int, using: str) -> dict[str, int]:
    """Count the calls, by name, that were made up to the step from `base`, its own included."""
    rows = JournalEntry.objects.using(using).filter(work_item=item, base_version__lte=base)
    return dict(rows.order_by().values_list("name").annotate(Count("id")))


def _entry(row: JournalEntry) -> Entry:
    return Entry(
        state=row.state,
        call=row.call_id,
        attempts=row.attempts,
        input_hash=row.input_hash,
        name=row.name,
        result=None if row.result is None else json.dumps(row.result, ensure_ascii=False),
        error=None if row.error is None else json.dumps(row.error, ensure_ascii=False),
    )


def snapshots(item: WorkItem, low: int, high: int, using: str) -> Iterator[tuple[int, Snapshot | None]]:
    """Yield the versions low…high with their snapshots, None for one that is not kept; a few in memory at a time."""
    chunk = 20
    for start in range(low, high + 1, chunk):
        end = min(start + chunk - 1, high)
        rows = Snapshot.objects.using(using).filter(work_item=item, version__gte=start, version__lte=end)
        kept = {row.version: row for row in rows}
        yield from ((version, kept.get(version)) for version in range(start, end + 1))
