"""Write PostgreSQL's array literals, for `unnest(%s::type[], …)`.

psycopg picks an array's type by its values (smallint or bigint, unknown when all are None), so that one statement
would be prepared again for each mixture. A literal has one type, the one it is cast to, and costs a third.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def plain(values: Iterable[Any]) -> str:
    """Return the literal of values whose text needs no quotes: numbers, booleans, UUIDs, times, None."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Return the literal of texts, JSON among them, or None."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
