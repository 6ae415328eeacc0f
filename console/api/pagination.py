"""Pages by cursor: `next` says where the following page begins, and new rows never shift it."""

from __future__ import annotations

import base64
import binascii
import re
import uuid

from ninja import Schema
from pydantic import Field

from runtime.exceptions import InvalidInput

MOST = 200
LONGEST_CURSOR = 200


class Paging(Schema):
    """Which page, and how long."""

    limit: int = Field(50, ge=1, le=MOST, description="Rows of a page, at most.")
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


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        raise _unknown() from None


def _unknown() -> InvalidInput:
    return InvalidInput("The cursor is none that was given out here.", field="cursor")
