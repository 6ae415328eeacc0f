"""Tell how the last hour went, minute by minute, out of the events, without ever reading all of them.

Events have no index by time, but their ids grow with it. So the id at which each minute begins is searched for by
halves, about thirty looks each, and of each minute at most `SAMPLE` ids are read. Where a minute had more, its numbers
are those of the sample times how much larger the minute was, and `estimated` says so.

A run that was imported within the hour brings events of older times along. They are not counted, but the search may
take them for the beginning of a minute, and then what was written before the import is missing from that hour.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from django.db import connections

from runtime import clock
from runtime.choices import EventKind
from runtime.store import work_database

MINUTES = 60
SAMPLE = 1_000
"""Ids of one minute that are read at most."""
FAILURES = (EventKind.RETRY, EventKind.FAILED)

# The time of the event in the middle of a mark's range of ids. SQLite wants it to be said where it is used.
SEEN_SQL = "(SELECT e.created_at FROM roost_event e WHERE e.id >= (low + high) / 2 ORDER BY e.id LIMIT 1)"

# A mark's range of ids is halved until it holds one: the first whose event is not older than the mark.
CUTS_SQL = f"""
WITH RECURSIVE mark(n, at) AS (VALUES %(marks)s),
cut(n, at, low, high) AS (
    SELECT n, at, coalesce((SELECT min(id) FROM roost_event), 1), coalesce((SELECT max(id) FROM roost_event), 0) + 1
    FROM mark
    UNION ALL
    SELECT n, at,
        CASE WHEN {SEEN_SQL} < at THEN (low + high) / 2 + 1 ELSE low END,
        CASE WHEN {SEEN_SQL} < at THEN high ELSE (low + high) / 2 END
    FROM cut WHERE low < high
)
SELECT low FROM cut WHERE low >= high ORDER BY n
"""

# The time keeps out what an import brought along.
MINUTE_SQL = """
SELECT %s, kind, count(*), sum(duration), count(duration), max(duration)
FROM roost_event WHERE id >= %s AND id < %s AND created_at >= %s AND created_at < %s
GROUP BY kind
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Minute:
    """What happened in the minute that began `at`: steps committed, items done, failed attempts, seconds a step took.

    `mean` and `longest` are None when no step was committed. Its events have the ids from `first` to below `end`.
    """

    at: dt.datetime
    steps: int = 0
    done: int = 0
    failures: int = 0
    mean: float | None = None
    longest: float | None = None
    estimated: bool = False
    first: int = 0
    end: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of time and the ids of its events; of `low` to `high`, those before `end` are read."""

    number: int
    since: dt.datetime
    until: dt.datetime
    low: int
    high: int

    @property
    def end(self) -> int:
        """The first id that is not read."""
        return min(self.high, self.low + SAMPLE)

    @property
    def factor(self) -> float:
        """How many events there are for one that is read."""
        return (self.high - self.low) / (self.end - self.low)


def last_hour(*, using: str | None = None) -> list[Minute]:
    """Return the last sixty minutes, the oldest first, the last one still going on. Three queries on PostgreSQL."""
    using = using or work_database()
    now = clock.now(using)
    first = now.replace(second=0, microsecond=0) - dt.timedelta(minutes=MINUTES - 1)
    marks = [first + dt.timedelta(minutes=number) for number in range(MINUTES)] + [now + dt.timedelta(minutes=1)]
    spans = spans_between(marks, using)
    found = _read(spans, using)
    return [_minute(at, found.get(number, ()), spans.get(number)) for number, at in enumerate(marks[:-1])]


def spans_between(marks: Sequence[dt.datetime], using: str) -> dict[int, Span]:
    """Return the stretches between these moments in which events were written, by their number. One query."""
    return _spans(marks, _cuts(marks, using))


def _cuts(marks: Sequence[dt.datetime], using: str) -> list[int]:
    connection = connections[using]
    rows = ", ".join(["(%s, %s)"] * len(marks))
    params = [value for number, at in enumerate(marks) for value in (number, _stored(at, using))]
    with connection.cursor() as cursor:
        cursor.execute(CUTS_SQL % {"marks": rows}, params)
        return [row[0] for row in cursor.fetchall()]


def _spans(marks: Sequence[dt.datetime], cuts: Sequence[int]) -> dict[int, Span]:
    ends = zip(pairwise(marks), pairwise(cuts), strict=True)
    return {
        number: Span(number=number, since=since, until=until, low=low, high=high)
        for number, ((since, until), (low, high)) in enumerate(ends)
        if low < high
    }


def _read(spans: dict[int, Span], using: str) -> dict[int, list[Sequence[Any]]]:
    """Return the rows of each minute: kind, number, sum, number and longest of the durations."""
    if not spans:
        return {}
    params = [value for span in spans.values() for value in bounds(span, using)]
    found: dict[int, list[Sequence[Any]]] = {number: [] for number in spans}
    with connections[using].cursor() as cursor:
        cursor.execute(" UNION ALL ".join([MINUTE_SQL] * len(spans)), params)
        for number, *row in cursor.fetchall():
            found[number].append(row)
    return found


def bounds(span: Span, using: str) -> tuple[Any, ...]:
    """Return what bounds the reading of a stretch: its number, ids and times."""
    return span.number, span.low, span.end, _stored(span.since, using), _stored(span.until, using)


def _minute(at: dt.datetime, rows: Iterable[Sequence[Any]], span: Span | None) -> Minute:
    if span is None:
        return Minute(at=at)
    by_kind: dict[str, Sequence[Any]] = {row[0]: row[1:] for row in rows}
    _, total, timed, longest = by_kind.get(EventKind.STEP, (0, None, 0, None))

    def count(*kinds: str) -> int:
        seen: int = sum(by_kind[kind][0] for kind in kinds if kind in by_kind)
        return round(span.factor * seen)

    return Minute(
        at=at,
        steps=count(EventKind.STEP),
        done=count(EventKind.DONE),
        failures=count(*FAILURES),
        mean=total / timed if timed else None,
        longest=longest,
        estimated=span.end < span.high,
        first=span.low,
        end=span.high,
    )


def _stored(at: dt.datetime, using: str) -> Any:
    return connections[using].ops.adapt_datetimefield_value(at)
