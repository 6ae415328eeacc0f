"""Tell a run from its beginning: who enqueued what, each step with all that belongs to it, and how it ended.

It is read in pages of chapters, one for each step, so that a run of 100,000 steps can be told too: a page reads a
bounded number of rows, however long the run and however busy its steps.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db.models import QuerySet

from runtime.models import Event, WorkItem
from runtime.queries import belongings
from runtime.queries.attempts import worker_names
from runtime.queries.belongings import WHOLE_RUN, Asked, Call, File, Listed
from runtime.queries.chapters import Chapter, gather
from runtime.queries.page import checked_limit
from runtime.queries.why import why
from runtime.store import work_database

MOST_EVENTS = 2000


@dataclass(frozen=True, kw_only=True, slots=True)
class ToldStep:
    """A chapter with what the other tables know of it. Lists hold the first 20; `more` says how many are left out.

    `taken_over_from` is the worker that had the item before, where another one went on.
    """

    chapter: Chapter
    workers: tuple[str, ...]
    taken_over_from: str
    calls: tuple[Call, ...]
    asks: tuple[Asked, ...]
    files: tuple[File, ...]
    more: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run, or one page of it: the first `opens` it, and `next` says where another one begins."""

    item: WorkItem
    enqueued_by: str
    enqueued_because: str
    opens: bool
    steps: tuple[ToldStep, ...]
    whole_run_calls: tuple[Call, ...]
    children: dict[str, int]
    now: str
    next: int | None


def explain(
    item: WorkItem, *, after: int = 0, limit: int = 50, most: int | None = None, using: str | None = None
) -> Run:
    """Return a page of the run's story: up to `limit` steps, and `most` events, from the event `after` on.

    Changes nothing. Raises `InvalidInput` for a limit out of bounds.
    """
    using, most = using or work_database(), most or MOST_EVENTS
    events = Event.objects.using(using).filter(work_item_id=item.pk)
    found = list(events.filter(seq__gt=after).order_by("seq")[:most])
    chapters, last = gather(found, limit=checked_limit(limit))
    more = bool(found) and (last < found[-1].seq or len(found) == most)
    opens = after == 0
    calls = belongings.calls(item, [WHOLE_RUN], using) if opens else {}
    actor, reason = _enqueued(events)
    return Run(
        item=item,
        enqueued_by=actor,
        enqueued_because=reason,
        opens=opens,
        steps=_told(item, chapters, None if opens else _owner_at(events, after), using),
        whole_run_calls=calls.get(WHOLE_RUN, Listed()).rows,
        children=belongings.children(item, using) if opens else {},
        now=why(item, using=using).text,
        next=last if more else None,
    )


def _enqueued(events: QuerySet[Event]) -> tuple[str, str]:
    """Return who enqueued the item and why, as far as that was said and is not pruned."""
    # No LIMIT: PostgreSQL, which expects the first event of many items here, would read the table from its beginning.
    return next(iter(events.filter(seq=1).order_by().values_list("actor", "reason")), ("", ""))


def _owner_at(events: QuerySet[Event], seq: int) -> uuid.UUID | None:
    signed = events.filter(seq__lte=seq, worker__isnull=False).order_by("-seq")
    owner: uuid.UUID | None = signed.values_list("worker", flat=True).first()
    return owner


def _told(item: WorkItem, chapters: Sequence[Chapter], owner: uuid.UUID | None, using: str) -> tuple[ToldStep, ...]:
    steps = [chapter.step for chapter in chapters]
    names = worker_names({owner, *(worker for chapter in chapters for worker in chapter.workers)}, using)
    calls = belongings.calls(item, steps, using)
    asks = belongings.asks(item, steps, using)
    files = belongings.files(item, steps, using)
    told: list[ToldStep] = []
    for chapter in chapters:
        told.append(
            _step(
                chapter,
                [names.get(worker, str(worker)) for worker in chapter.workers],
                names.get(owner, str(owner)) if chapter.takes_over(owner) else "",
                calls.get(chapter.step, Listed()),
                asks.get(chapter.step, Listed()),
                files.get(chapter.step, Listed()),
            )
        )
        owner = chapter.workers[-1] if chapter.workers else owner
    return tuple(told)


def _step(
    chapter: Chapter,
    workers: Sequence[str],
    before: str,
    calls: Listed[Call],
    asks: Listed[Asked],
    files: Listed[File],
) -> ToldStep:
    left = {"happenings": chapter.untold, "calls": calls.left, "asks": asks.left, "files": files.left}
    return ToldStep(
        chapter=chapter,
        workers=tuple(workers),
        taken_over_from=before,
        calls=calls.rows,
        asks=asks.rows,
        files=files.rows,
        more={what: count for what, count in left.items() if count},
    )
