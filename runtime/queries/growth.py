"""Say how large Roost's tables are, how fast they grow, what pruning would free now, and where that leads.

Sizes on PostgreSQL are those that its statistics know; SQLite counts rows, and knows bytes where it was built with
dbstat. The pace is that of the newest thousand rows of a table. All of it is approximate, and none of it is slow.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from django.db import DatabaseError, connections, transaction
from django.db.models import Model

from runtime import clock
from runtime.conf import settings as roost
from runtime.models import Event, JournalEntry, Snapshot, WorkItem
from runtime.operations.prune import cutoffs
from runtime.queries.words import span
from runtime.store import work_database
from runtime.store.going import Wanted, would_go

SAMPLE = 1_000
MOST_DUE = 2_000
SHORTEST = 60.0
"""Seconds that a sample must take to tell of a pace."""
DAY = 86_400.0
UNITS = ("B", "kB", "MB", "GB", "TB")

TABLES: tuple[tuple[type[Model], str], ...] = (
    (WorkItem, "created_at"),
    (Event, "created_at"),
    (Snapshot, "created_at"),
    (JournalEntry, "started_at"),
)
SIZES_POSTGRES = """
SELECT greatest(reltuples, 0)::bigint, pg_total_relation_size(oid) FROM pg_class WHERE oid = %s::regclass
"""
SIZE_SQLITE = "SELECT sum(pgsize) FROM dbstat WHERE name = %s OR name IN (SELECT name FROM pragma_index_list(%s))"


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """A table: its rows and bytes (None: not known), rows and bytes a day at the pace of late, and what may go now.

    `settles_at` is how many bytes it comes to when as much goes as comes, None where that is not known or never.
    """

    table: str
    rows: int
    bytes: int | None
    rows_a_day: float | None
    bytes_a_day: float | None
    free_rows: int
    free_bytes: int | None
    settles_at: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """All tables, and how many items pruning would remove now; `more` says that there are more than were counted."""

    tables: tuple[Growth, ...]
    items: int
    more: bool


def forecast(*, using: str | None = None) -> Forecast:
    """Return the forecast. Changes nothing; looks at a bounded number of rows, but for counts on SQLite."""
    using = using or work_database()
    now = clock.now(using)
    due = would_go(using, Wanted(cutoffs=cutoffs(now)), limit=MOST_DUE + 1)
    going = due[:MOST_DUE]
    rows = WorkItem.objects.using(using).filter(pk__in=going).values_list("event_seq", "version")
    numbers = list(rows)
    free = {
        "roost_workitem": len(going),
        "roost_event": sum(events for events, _version in numbers),
        "roost_snapshot": sum(version + 1 for _events, version in numbers if version),
        "roost_journalentry": JournalEntry.objects.using(using).filter(work_item__in=going).count(),
    }
    tables = tuple(_growth(using, model, column, now, free) for model, column in TABLES)
    return Forecast(tables=tables, items=len(going), more=len(due) > MOST_DUE)


def _growth(using: str, model: type[Model], column: str, now: dt.datetime, free: Mapping[str, int]) -> Growth:
    table = model._meta.db_table
    rows, size = _size(using, model)
    each = size / rows if size is not None and rows else None
    pace = _pace(using, model, column, now)
    a_day = pace * each if pace is not None and each is not None else None
    days: float | None = roost.RETENTION_DAYS
    return Growth(
        table=table,
        rows=rows,
        bytes=size,
        rows_a_day=pace,
        bytes_a_day=a_day,
        free_rows=free[table],
        free_bytes=None if each is None else int(free[table] * each),
        settles_at=None if a_day is None or days is None else int(a_day * days),
    )


def _size(using: str, model: type[Model]) -> tuple[int, int | None]:
    table = model._meta.db_table
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute(SIZES_POSTGRES, [table])
            rows, size = cursor.fetchone()
        # A table that was never analysed says nothing yet; then it is small.
        return (rows or model._default_manager.using(using).count()), size
    return model._default_manager.using(using).count(), _bytes_on_sqlite(using, table)


def _bytes_on_sqlite(using: str, table: str) -> int | None:
    """Return the pages of a table and its indexes, None where SQLite was built without dbstat."""
    try:
        with transaction.atomic(using=using), connections[using].cursor() as cursor:
            cursor.execute(SIZE_SQLITE, [table, table])
            size: int | None = cursor.fetchone()[0]
    except DatabaseError:
        return None
    return size


def _pace(using: str, model: type[Model], column: str, now: dt.datetime) -> float | None:
    """Return the rows a day at which the newest ones came, None while there are too few to tell."""
    newest = model._default_manager.using(using).order_by("-pk").values_list(column, flat=True)[:SAMPLE]
    times = list(newest)
    seconds = (now - min(times)).total_seconds() if times else 0.0
    return len(times) / seconds * DAY if seconds >= SHORTEST else None


def size(count: float | None) -> str:
    """Return bytes as people read them, a dash for what is not known."""
    if count is None:
        return "-"
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {UNITS[unit]}" if unit == 0 or amount >= 100 else f"{amount:.1f} {UNITS[unit]}"


def summary(found: Forecast) -> str:
    """Return the forecast in a sentence or two."""
    known = [one.bytes for one in found.tables if one.bytes is not None]
    growing = [one.bytes_a_day for one in found.tables if one.bytes_a_day is not None]
    text = f"The tables take about {size(sum(known) if known else None)}"
    text += f" and grow by {size(sum(growing))} a day" if growing else ""
    kept = roost.RETENTION_DAYS
    keeping = "for ever" if kept is None else f"for {span(kept * DAY)}"
    return f"{text}; ended items are kept {keeping}, {found.items}{' or more' if found.more else ''} may go now."
