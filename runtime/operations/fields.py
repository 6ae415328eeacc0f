"""Check what a caller hands in, one argument each: return it in the form that is stored or raise `InvalidInput`.

Pure functions. Every message names the argument, says what is wrong with it, and what would be right.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Any

from runtime.exceptions import InvalidInput
from runtime.sentences import say as _

MAX_SECONDS = 100 * 365.25 * 24 * 3600
SMALLINT = (-(2**15), 2**15 - 1)
INT = (1, 2**31 - 1)
BIGINT = (1, 2**63 - 1)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")


def name(value: Any, field: str, *, limit: int = 100) -> str:
    """Return a name that is safe in addresses and channel groups: ASCII letters, digits, dot, dash, underscore."""
    text(value, field, limit=limit)
    if not _NAME.match(value):
        raise InvalidInput(
            _(
                "%(field)s %(value)r is no name: use letters, digits, '.', '_' and '-', and begin with a letter or "
                "digit.",
                field=field,
                value=value,
            ),
            field=field,
        )
    return str(value)


def text(value: Any, field: str, *, limit: int) -> str:
    """Return a text of 1 to `limit` printable characters without blanks around it."""
    if not isinstance(value, str):
        raise InvalidInput(
            _("%(field)s is a %(kind)s; it must be a string.", field=field, kind=type(value).__name__), field=field
        )
    if not value or value.isspace():
        raise InvalidInput(
            _("%(field)s is empty. Give it at least one character, or leave it out.", field=field), field=field
        )
    if len(value) > limit:
        raise InvalidInput(
            _(
                "%(field)s has %(count)s characters; at most %(limit)s are allowed.",
                field=field,
                count=len(value),
                limit=limit,
            ),
            field=field,
        )
    if not value.isprintable():
        raise InvalidInput(
            _("%(field)s %(value)r holds control or invisible characters. Remove them.", field=field, value=value),
            field=field,
        )
    if value != value.strip():
        raise InvalidInput(
            _("%(field)s %(value)r begins or ends with a blank. Trim it.", field=field, value=value), field=field
        )
    return str(value)


def whole(value: Any, field: str, bounds: tuple[int, int]) -> int:
    """Return a whole number within the bounds, both included."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(
            _("%(field)s is a %(kind)s; it must be a whole number.", field=field, kind=type(value).__name__),
            field=field,
        )
    low, high = bounds
    if not low <= value <= high:
        raise InvalidInput(
            _("%(field)s must be between %(low)s and %(high)s.", field=field, low=low, high=high), field=field
        )
    return int(value)


def seconds(value: Any, field: str, *, positive: bool = False) -> float:
    """Return a span as seconds, from a number or a timedelta: finite, not negative, 100 years at the most."""
    span = value.total_seconds() if isinstance(value, dt.timedelta) else value
    if not isinstance(span, int | float) or isinstance(span, bool):
        raise InvalidInput(
            _("%(field)s is a %(kind)s; it must be seconds or a timedelta.", field=field, kind=type(value).__name__),
            field=field,
        )
    if not (0 <= span <= MAX_SECONDS):
        shown = span if isinstance(span, float) and not math.isfinite(span) else value
        raise InvalidInput(
            _("%(field)s %(shown)s is out of range: give 0 seconds to 100 years.", field=field, shown=shown),
            field=field,
        )
    if positive and not span:
        raise InvalidInput(
            _("%(field)s is 0; it must be more. Leave it out for the default.", field=field), field=field
        )
    return float(span)


def moment(value: Any, field: str) -> dt.datetime:
    """Return an aware datetime in UTC."""
    if not isinstance(value, dt.datetime):
        raise InvalidInput(
            _("%(field)s is a %(kind)s; it must be an aware datetime.", field=field, kind=type(value).__name__),
            field=field,
        )
    if value.utcoffset() is None:
        raise InvalidInput(
            _(
                "%(field)s %(at)s has no time zone. Say which it is meant in: %(at)sZ for UTC.",
                field=field,
                at=value.isoformat(),
            ),
            field=field,
        )
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise InvalidInput(
            _("%(field)s %(at)s lies outside the years 1 to 9999 in UTC.", field=field, at=value.isoformat()),
            field=field,
        ) from None


def deadline(value: Any, *, now: dt.datetime, due: dt.datetime) -> dt.datetime:
    """Return the deadline as a moment after `now` and not before `due`; a timedelta counts from `now`."""
    if isinstance(value, dt.timedelta):
        try:
            value = now + value
        except OverflowError:
            raise InvalidInput(
                _("deadline lies outside the years 1 to 9999. Give a nearer one."), field="deadline"
            ) from None
    if not isinstance(value, dt.datetime):
        raise InvalidInput(
            _(
                "deadline is a %(kind)s; it must be an aware datetime, or a timedelta from now.",
                kind=type(value).__name__,
            ),
            field="deadline",
        )
    at = moment(value, "deadline")
    if at <= now:
        raise InvalidInput(
            _(
                "deadline %(at)s is in the past: the database's clock says %(now)s.",
                at=at.isoformat(),
                now=now.isoformat(),
            ),
            field="deadline",
        )
    if at < due:
        raise InvalidInput(
            _(
                "deadline %(at)s comes before the item is due at %(due)s: it could never run.",
                at=at.isoformat(),
                due=due.isoformat(),
            ),
            field="deadline",
        )
    return at
