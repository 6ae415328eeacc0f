"""One page of a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from runtime.exceptions import InvalidInput

T = TypeVar("T")

MAX_LIMIT = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Rows, and whether more follow the last of them."""

    rows: tuple[T, ...]
    more: bool


def page_of(rows: Iterable[T], limit: int) -> Page[T]:
    """Return a page of at most `limit` rows out of rows of which `limit + 1` were asked for."""
    found = tuple(islice(rows, limit + 1))
    return Page(rows=found[:limit], more=len(found) > limit)


def checked_limit(limit: int) -> int:
    """Return the limit. Raises `InvalidInput` unless it is 1…1000."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(f"The limit is {limit}; it must be 1 to {MAX_LIMIT}. Page on for more.", field="limit")
    return limit
