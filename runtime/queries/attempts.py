"""Read how often an item's steps were tried, and what each try came to: from its events, which nobody changes."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from runtime.choices import EventKind
from runtime.models import Event, Worker
from runtime.queries.page import Page, checked_limit, page_of
from runtime.store import work_database
from runtime.usage import KEY, told_in

MADE = (EventKind.STEP, EventKind.WAITED, EventKind.ASKED)
CUT_OFF = (EventKind.RELEASED, EventKind.RECOVERED)
# A sweep fails items too, and a step that commits may be an item's last: neither is an attempt of its own.
ENDED = Q(kind__in=[*MADE, *CUT_OFF, EventKind.RETRY]) | Q(kind=EventKind.FAILED, duration__isnull=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """One try of one step. `seq` is that of the event that tells of its end, `outcome` the event's kind.

    `number` counts from 1 for each step; tries that were cut off (released, recovered) cost none, so the next has the
    same number. `tokens` and `cost` (in millionths of a dollar) are what it
    said that it used. `error` is what was raised: type, code, category, message, traceback.
    """

    seq: int
    step: int
    number: int
    outcome: str
    reason: str
    worker: uuid.UUID | None
    worker_name: str
    ended_at: dt.datetime
    duration: float | None
    tokens: int
    cost: int
    error: dict[str, Any] | None

    @property
    def failed(self) -> bool:
        """Whether the step raised."""
        return self.outcome in (EventKind.RETRY, EventKind.FAILED)


def attempts(item: uuid.UUID, *, after: int = 0, limit: int = 100, using: str | None = None) -> Page[Attempt]:
    """Return a page of the item's attempts, oldest first, those that ended after the event `after`."""
    using = using or work_database()
    ended = Event.objects.using(using).filter(ENDED, work_item_id=item)
    found = page_of(ended.filter(seq__gt=after).order_by("seq")[: checked_limit(limit) + 1], limit)
    names = worker_names((event.worker for event in found.rows), using)
    return Page(rows=tuple(_attempts(found.rows, _failures_before(ended, after), names)), more=found.more)


def worker_names(workers: Iterable[uuid.UUID | None], using: str) -> dict[uuid.UUID | None, str]:
    """Return what workers are called, by their ids."""
    known = Worker.objects.using(using).filter(pk__in={worker for worker in workers if worker is not None})
    return {worker.pk: str(worker) for worker in known}


def _attempts(events: Iterable[Event], failures: int, names: dict[uuid.UUID | None, str]) -> Iterator[Attempt]:
    for event in events:
        if event.kind in (EventKind.RETRY, EventKind.FAILED):
            failures = event.attempt
        tokens, cost = told_in(event.data)
        yield Attempt(
            seq=event.seq,
            step=event.version + (event.kind != EventKind.STEP),
            number=failures if event.kind in (EventKind.RETRY, EventKind.FAILED) else failures + 1,
            outcome=event.kind,
            reason=event.reason,
            worker=event.worker,
            worker_name=names.get(event.worker, ""),
            ended_at=event.created_at,
            duration=event.duration,
            tokens=tokens,
            cost=cost,
            error=_error(event) if event.kind in (EventKind.RETRY, EventKind.FAILED) else None,
        )
        if event.kind not in (EventKind.RETRY, *CUT_OFF):
            failures = 0


def _error(event: Event) -> Any:
    """Return what was raised, without what the attempt used."""
    return (
        {name: event.data[name] for name in event.data if name != KEY} if isinstance(event.data, dict) else event.data
    )


def _failures_before(ended: QuerySet[Event], after: int) -> int:
    """Return how often the step that runs next had failed when the event `after` happened."""
    last = ended.filter(seq__lte=after).exclude(kind__in=CUT_OFF).order_by("-seq").first()
    return last.attempt if last is not None and last.kind == EventKind.RETRY else 0
