"""One page of a list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from django.db.models import Q

from runtime.exceptions import InvalidInput
from runtime.sentences import say as _

T = TypeVar("T")

MAX_LIMIT = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Rows, and whether more follow the last of them."""

    rows: tuple[T, ...]
    more: bool


def behind(first: str, second: str, after: tuple[str, str]) -> Q:
    """Return the condition for rows that stand behind a pair of values, in the order of these two columns."""
    return Q(**{f"{first}__gt": after[0]}) | Q(**{first: after[0], f"{second}__gt": after[1]})


def page_of(rows: Iterable[T], limit: int) -> Page[T]:
    """Return a page of at most `limit` rows out of rows of which `limit + 1` were asked for."""
    found = tuple(islice(rows, limit + 1))
    return Page(rows=found[:limit], more=len(found) > limit)


def part_of(rows: Iterable[T], limit: int | None) -> Page[T]:
    """Return a page of rows that are all there, or all of them where no limit was asked for."""
    return Page(rows=tuple(rows), more=False) if limit is None else page_of(rows, checked_limit(limit))


def checked_limit(limit: int) -> int:
    """Return the limit. Raises `InvalidInput` unless it is 1…1000."""
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidInput(
            _(
                "The limit is %(limit)s; it must be 1 to %(max_limit)s. Page on for more.",
                limit=limit,
                max_limit=MAX_LIMIT,
            ),
            field="limit",
        )
    return limit
