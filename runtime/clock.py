"""Tell the database's time, the only clock that decides anything in Roost.

On PostgreSQL the store's statements say `statement_timestamp()` themselves; `sql()` leaves them as they are
unless a test has moved the clock. On SQLite the database has no clock but the host's, so `now()` is that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.db.models import DateTimeField
from django.db.models.expressions import Combinable, Func
from django.utils import timezone

NOW_SQL = "statement_timestamp()"
_offset = dt.timedelta(0)


def now(using: str) -> dt.datetime:
    """Return the current time of database `using`, aware, in UTC. One round trip on PostgreSQL."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return timezone.now() + _offset
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + sql(NOW_SQL))
        moment: dt.datetime = cursor.fetchone()[0]
    return moment


def before(using: str, seconds: float) -> dt.datetime | Combinable:
    """Return the moment so many seconds ago for a query to compare with, without a round trip of its own."""
    span = dt.timedelta(seconds=seconds)
    if connections[using].vendor != "postgresql":
        return now(using) - span
    return Func(template=sql(NOW_SQL), output_field=DateTimeField()) - span


def moment(using: str) -> tuple[str, list[str | None]]:
    """Return the SQL of the current time of database `using`, and its parameters, for a statement written out."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        return sql(NOW_SQL), []
    return "%s", [connection.ops.adapt_datetimefield_value(now(using))]


def sql(statement: str) -> str:
    """Return the statement with the database's clock moved by the offset that a test has set."""
    if not _offset:
        return statement
    shifted = f"({NOW_SQL} + interval '{_offset.total_seconds():f} seconds')"
    return statement.replace(NOW_SQL, shifted)


@contextmanager
def shifted(by: dt.timedelta) -> Iterator[None]:
    """Move the database's clock, as this process sees it, while the block runs. For tests only."""
    global _offset
    before = _offset
    _offset = before + by
    try:
        yield
    finally:
        _offset = before
