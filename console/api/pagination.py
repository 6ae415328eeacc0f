"""Pages by cursor: `next` says where the following page begins, and new rows never shift it."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ninja import Schema
from pydantic import Field

from runtime.exceptions import InvalidInput
from runtime.jsondata import clean
from runtime.queries.page import part_of

T = TypeVar("T")

MOST = 200
LONGEST_CURSOR = 2000


class Paging(Schema):
    """Which page, and how long."""

    limit: int = Field(50, ge=1, le=MOST, description="Rows of a page, at most.")
    cursor: str = Field("", max_length=LONGEST_CURSOR, description="The `next` of the page before.")


class Pages(Schema):
    """Which page of a list that is told whole unless a limit is given."""

    limit: int | None = Field(None, ge=1, le=MOST, description="Rows of a page, at most; left out, all rows.")
    cursor: str = Field("", max_length=LONGEST_CURSOR, description="The `next` of the page before.")


_NUMBER = re.compile(r"-?[0-9]{1,18}")


def cursor(last: object, *, more: bool) -> str | None:
    """Return the cursor of what follows the row with that key, None where nothing does."""
    return base64.urlsafe_b64encode(str(last).encode()).decode().rstrip("=") if more else None


def after_number(text: str, start: int) -> int:
    """Return the number that a cursor names, `start` for none. Raises `InvalidInput`."""
    if not text:
        return start
    found = _decoded(text)
    if not _NUMBER.fullmatch(found):
        raise _unknown()
    return int(found)


def after_id(text: str) -> uuid.UUID | None:
    """Return the id that a cursor names, None for none. Raises `InvalidInput`."""
    if not text:
        return None
    try:
        return uuid.UUID(_decoded(text))
    except ValueError:
        raise _unknown() from None


def cursor_of(*words: str, more: bool) -> str | None:
    """Return the cursor of what follows the row with these words, None where nothing does."""
    return cursor(json.dumps(words, ensure_ascii=False, separators=(",", ":")), more=more)


def after_words(text: str, count: int) -> tuple[str, ...] | None:
    """Return the words that a cursor names, None for none. Raises `InvalidInput`."""
    if not text:
        return None
    try:
        found = json.loads(_decoded(text, "utf-8"))
    except (ValueError, RecursionError):
        raise _unknown() from None
    if not isinstance(found, list) or len(found) != count or not all(_is_word(word) for word in found):
        raise _unknown()
    return tuple(found)


def after_pair(text: str) -> tuple[str, str] | None:
    """Return the two words that a cursor names, None for none. Raises `InvalidInput`."""
    words = after_words(text, 2)
    return None if words is None else (words[0], words[1])


def after_start(text: str) -> tuple[dt.datetime, uuid.UUID] | None:
    """Return the moment and the id that a cursor names, None for none. Raises `InvalidInput`."""
    words = after_words(text, 2)
    if words is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(words[0])
        return moment.astimezone(dt.UTC), uuid.UUID(words[1])
    except (ValueError, OverflowError):
        raise _unknown() from None


def rest_of(
    rows: Iterable[T], words: Callable[[T], tuple[str, str, str]], paging: Pages
) -> tuple[tuple[T, ...], str | None]:
    """Return the page that is asked for of rows that were all read, in the order of their words, and its cursor."""
    start = after_words(paging.cursor, 3)
    page = part_of([row for row in sorted(rows, key=words) if start is None or words(row) > start], paging.limit)
    return page.rows, cursor_of(*words(page.rows[-1]), more=True) if page.more else None


def _is_word(word: Any) -> bool:
    """Say whether it is text that the database can hold: no NUL, no lone surrogates, which JSON can write."""
    return isinstance(word, str) and clean(word) == word


def _decoded(text: str, encoding: str = "ascii") -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode(encoding)
    except (binascii.Error, ValueError):
        raise _unknown() from None


def _unknown() -> InvalidInput:
    return InvalidInput("The cursor is none that was given out here.", field="cursor")
