"""Read cron texts, and say when they fire in a time zone. Pure: no database, no clock.

    minute hour day-of-month month day-of-week        "30 9 * * mon-fri", "*/15 8-18 * * *", "0 0 1,15 * *"

A text is bounded in length and each number in range before anything expands it. If both days are given, either fits.

Cron speaks of the clock on the wall. A time that the wall clock skips (summer time begins) fires at the first moment
after the gap; one that it shows twice (summer time ends) fires the first time only. So each time fires once.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from croniter import CroniterError, croniter

from runtime.exceptions import InvalidInput

MAX_TEXT = 100
MAX_PARTS = 24
YEARS = 9
"""How far apart two firings may be: 29 February 2096 is followed by that of 2104."""

SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_VALUE = r"\d{1,2}|[a-z]{3}"
_PART = re.compile(rf"(?:\*|(?P<low>{_VALUE})(?:-(?P<high>{_VALUE}))?)(?:/(?P<step>\d{{1,2}}))?\Z", re.ASCII)
_SECOND = dt.timedelta(seconds=1)


def parse(text: Any) -> str:
    """Return the cron text in one form: five fields, in lower case, one blank between. Raises `InvalidInput`."""
    if not isinstance(text, str):
        raise _wrong(f"cron is a {type(text).__name__}; it must be a string like '30 9 * * mon-fri'.")
    if len(text) > MAX_TEXT:
        raise _wrong(f"cron has {len(text)} characters; at most {MAX_TEXT} are allowed.")
    plain = " ".join(text.lower().split())
    plain = SHORTHANDS.get(plain, plain)
    given = plain.split(" ")
    if len(given) != len(_FIELDS):
        raise _wrong(
            f"cron {text!r} has {len(given)} fields; it takes five: minute, hour, day of month, month, day of week. "
            f"Or one of {', '.join(SHORTHANDS)}."
        )
    for part, (name, low, high, words) in zip(given, _FIELDS, strict=True):
        _check_field(part, name, low, high, words)
    if _step(plain, dt.datetime(2000, 1, 1), forward=True) is None:  # noqa: DTZ001 - the clock on the wall
        raise _wrong(f"cron {text!r} names a day that never comes.")
    return plain


def _check_field(text: str, name: str, low: int, high: int, words: dict[str, int]) -> None:
    parts = text.split(",")
    if len(parts) > MAX_PARTS:
        raise _wrong(f"The {name} of cron has {len(parts)} parts; at most {MAX_PARTS} are allowed.")
    for part in parts:
        found = _PART.match(part)
        if found is None:
            raise _wrong(f"cron does not know {part!r} as a {name}. Use *, numbers, a-b ranges, lists and /steps.")
        first, last = (_number(found[key], name, words) for key in ("low", "high"))
        for value in (first, last):
            if value is not None and not low <= value <= high:
                raise _wrong(f"The {name} {value} of cron is out of range: {low} to {high}.")
        if first is not None and last is not None and first > last:
            raise _wrong(f"The range {part!r} of cron runs backwards. Write it as two, with a comma.")
        if found["step"] is not None and not 1 <= int(found["step"]) <= high:
            raise _wrong(f"The step in {part!r} of cron is out of range: 1 to {high}.")


def _number(text: str | None, name: str, words: dict[str, int]) -> int | None:
    if text is None or text.isdigit():
        return None if text is None else int(text)
    if text not in words:
        raise _wrong(f"cron does not know {text!r} as a {name}.")
    return words[text]


def _wrong(message: str) -> InvalidInput:
    return InvalidInput(message, field="cron")


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """Return the time zone of that name. Raises `InvalidInput`."""
    if not isinstance(name, str) or name not in _names():
        raise InvalidInput(f"There is no time zone {name!r:.120}. Use a name like 'Europe/Berlin'.", field="timezone")
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


def following(text: str, where: ZoneInfo, after: dt.datetime) -> dt.datetime | None:
    """Return the first firing after a moment, in UTC; None where the calendar ends."""
    wall = _wall(after, where)
    while True:
        found = _step(text, wall, forward=True)
        moment = None if found is None else _moment(found, where)
        # In the second pass of an hour that comes twice, the first wall times after this one have passed already.
        if found is None or moment is None or moment > after:
            return moment
        wall = found


def latest(text: str, where: ZoneInfo, until: dt.datetime) -> dt.datetime | None:
    """Return the last firing up to a moment, that one included, in UTC; None where the calendar begins."""
    wall = _wall(until, where) + _SECOND + _repeated(until, where)
    while True:
        found = _step(text, wall, forward=False)
        moment = None if found is None else _moment(found, where)
        if found is None or moment is None or moment <= until:
            return moment
        wall = found


def _wall(moment: dt.datetime, where: ZoneInfo) -> dt.datetime:
    return moment.astimezone(where).replace(tzinfo=None, microsecond=0, fold=0)


def _repeated(moment: dt.datetime, where: ZoneInfo) -> dt.timedelta:
    """Return how far the wall clock was put back if it shows this time the second time, else nothing."""
    local = moment.astimezone(where)
    if not local.fold:
        return dt.timedelta(0)
    first = local.replace(fold=0).utcoffset() or dt.timedelta(0)
    return first - (local.utcoffset() or dt.timedelta(0))


def _step(text: str, wall: dt.datetime, *, forward: bool) -> dt.datetime | None:
    """Return the next or previous time on the wall clock that fits."""
    try:
        times = croniter(text, wall, max_years_between_matches=YEARS)
        step: Callable[..., dt.datetime] = times.get_next if forward else times.get_prev
        return step(dt.datetime)
    except (CroniterError, OverflowError, ValueError):
        return None


def _moment(wall: dt.datetime, where: ZoneInfo) -> dt.datetime | None:
    """Return the moment at which the wall clock first shows a time, or passes it in a leap."""
    local = wall.replace(tzinfo=where, fold=0)
    try:
        moment = local.astimezone(dt.UTC)
        if moment.astimezone(where).replace(tzinfo=None) == wall:
            return moment
        return _end_of_gap(wall, where)
    except OverflowError:
        return None


def _end_of_gap(wall: dt.datetime, where: ZoneInfo) -> dt.datetime:
    """Return the moment at which the wall clock leapt over a time: between the two readings of it, to the second."""
    # fold=0 reads it with the offset before the leap, which lies after it; fold=1 with the one after, before it.
    early, late = (wall.replace(tzinfo=where, fold=fold).astimezone(dt.UTC) for fold in (1, 0))
    before = early.astimezone(where).utcoffset()
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(where).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late
