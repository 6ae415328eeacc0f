"""Write PostgreSQL's array literals, for `unnest(%s::type[], …)`.

psycopg picks an array's type by its values (smallint or bigint, unknown when all are None), so that one statement
would be prepared again for each mixture. A literal has one type, the one it is cast to, and costs a third.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

MOST_TEXT = 16 * 1024 * 1024
"""Characters of JSON after which a batch is cut: a statement's arrays are held in memory several times over."""


def plain(values: Iterable[Any]) -> str:
    """Return the literal of values whose text needs no quotes: numbers, booleans, UUIDs, times, None."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str | None]) -> str:
    """Return the literal of texts, JSON among them, or None."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def slices(records: Sequence[T], length: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Cut records into runs of at most `most`, and of at most MOST_TEXT characters unless one record has more."""
    part: list[T] = []
    size = 0
    for record in records:
        own = length(record)
        if part and (len(part) >= most or size + own > MOST_TEXT):
            yield part
            part, size = [], 0
        part.append(record)
        size += own
    if part:
        yield part
