"""Run raw statements on SQLite with values in the form in which Django's ORM stores and reads them there."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connections
from django.utils import timezone

Rows = list[tuple[Any, ...]]


def rows(using: str, statement: str, params: Sequence[Any] = ()) -> Rows:
    """Run a statement and return its rows."""
    with connections[using].cursor() as cursor:
        cursor.execute(statement, params)
        found: Rows = cursor.fetchall()
        return found


def write_many(using: str, statement: str, params: Sequence[Sequence[Any]]) -> None:
    """Run a statement once for each set of parameters."""
    if params:
        with connections[using].cursor() as cursor:
            cursor.executemany(statement, params)


def places(values: Sequence[Any]) -> str:
    """Return a placeholder for each value, to stand in an IN list."""
    return ", ".join(["%s"] * len(values))


def keys(ids: Iterable[uuid.UUID]) -> list[str]:
    """Return ids as they are stored: 32 hexadecimal digits."""
    return [one.hex for one in ids]


def stored(using: str, moment: dt.datetime | None) -> str | None:
    """Return a time as it is stored."""
    text: str | None = connections[using].ops.adapt_datetimefield_value(moment)
    return text


def told(using: str, moment: dt.datetime | None) -> dt.datetime | None:
    """Return a stored time as an aware one."""
    return None if moment is None else timezone.make_aware(moment, connections[using].timezone)


def later(moment: dt.datetime, seconds: float) -> dt.datetime:
    """Return the time `seconds` after `moment`, or the last one there is if that lies beyond the calendar."""
    try:
        return moment + dt.timedelta(seconds=seconds)
    except OverflowError:
        return dt.datetime.max.replace(tzinfo=dt.UTC)
