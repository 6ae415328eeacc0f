"""Say when a schedule fires, and which of the times that it missed it makes up for. Pure: times come in as arguments.

Each firing has an *intended* time, which is what is counted and never the moment at which somebody got round to it:
times do not drift, and the same firing is the same whoever makes it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from runtime import cron
from runtime.choices import CatchUp, ScheduleKind

_TICK = dt.timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Timetable:
    """When a schedule fires.

    cron        by the cron text, on the wall clock of the time zone
    interval    every `every` seconds, counted from `anchor` and never before it
    once        at `anchor`
    """

    kind: str
    cron: str = ""
    timezone: str = "UTC"
    every: float = 0.0
    anchor: dt.datetime | None = None

    def after(self, moment: dt.datetime) -> dt.datetime | None:
        """Return the first intended time after a moment, in UTC; None when there is none any more."""
        if self.kind == ScheduleKind.CRON:
            return cron.following(self.cron, cron.zone(self.timezone), moment)
        if self.anchor is None:
            return None
        if moment < self.anchor:
            return self.anchor
        return None if self.kind == ScheduleKind.ONCE else self._beat(moment, 1)

    def until(self, moment: dt.datetime) -> dt.datetime | None:
        """Return the last intended time up to a moment, that one included, in UTC; None when there was none yet."""
        if self.kind == ScheduleKind.CRON:
            return cron.latest(self.cron, cron.zone(self.timezone), moment)
        if self.anchor is None or moment < self.anchor:
            return None
        return self.anchor if self.kind == ScheduleKind.ONCE else self._beat(moment, 0)

    def next(self, after: dt.datetime, count: int) -> list[dt.datetime]:
        """Return the next intended times after a moment, at most `count`."""
        found: list[dt.datetime] = []
        while len(found) < count and (upcoming := self.after(found[-1] if found else after)) is not None:
            found.append(upcoming)
        return found

    def _beat(self, moment: dt.datetime, more: int) -> dt.datetime | None:
        assert self.anchor is not None  # noqa: S101 - narrows the type
        span = dt.timedelta(seconds=self.every)
        try:
            return self.anchor + span * ((moment - self.anchor) // span + more)
        except OverflowError:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """What is to be fired now: intended times in order, whether some were passed over, and the next one to come."""

    times: tuple[dt.datetime, ...]
    skipped: bool
    upcoming: dt.datetime | None


def due(table: Timetable, first: dt.datetime, now: dt.datetime, *, catch_up: str, most: int, grace: float) -> Due:
    """Say which of the intended times from `first` (not fired yet) to `now` are to be fired.

    none    the last one, if it is not older than `grace` seconds
    last    the last one
    all     all of them, the last `most` if there are more

    A once is always fired. The time it takes does not depend on how long nobody looked: it goes back from now.
    """
    upcoming = table.after(now)
    if table.kind == ScheduleKind.ONCE:
        return Due(times=(first,) if first <= now else (), skipped=False, upcoming=upcoming)
    times = _back(table.until, first, now, most if catch_up == CatchUp.ALL else 1)
    skipped = bool(times) and times[0] > first
    if catch_up == CatchUp.NONE and times and (now - times[-1]).total_seconds() > grace:
        times, skipped = [], True
    return Due(times=tuple(times), skipped=skipped, upcoming=upcoming)


def _back(
    until: Callable[[dt.datetime], dt.datetime | None], first: dt.datetime, now: dt.datetime, most: int
) -> list[dt.datetime]:
    """Return the last `most` intended times between two moments, both included, in order."""
    found: list[dt.datetime] = []
    moment = until(now)
    while moment is not None and moment >= first and len(found) < most:
        found.append(moment)
        moment = until(moment - _TICK)
    return found[::-1]
