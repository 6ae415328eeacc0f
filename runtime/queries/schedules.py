"""Read the schedules, with what they do next in words."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from runtime import clock, cron
from runtime.choices import ScheduleKind
from runtime.exceptions import InvalidInput
from runtime.models import Schedule
from runtime.operations.firing import timetable
from runtime.queries.page import Page, behind, checked_limit, part_of
from runtime.queries.words import span
from runtime.store import work_database

NEXT = 5
LATE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleView:
    """A schedule, its times in words, its next runs, and what keeps it from firing, empty if nothing does."""

    schedule: Schedule
    times: str
    next_runs: tuple[dt.datetime, ...]
    trouble: str
    now: dt.datetime

    @property
    def in_words(self) -> list[str]:
        """The next runs for people, on the schedule's own clock: "Sun 29 Mar 2026, 03:00 CEST (in 5 h)"."""
        if not self.next_runs:
            return []
        where = cron.zone(self.schedule.timezone)
        return [f"{_on_the_wall(run, where)} ({_distance((run - self.now).total_seconds())})" for run in self.next_runs]


def views(
    *, namespaces: Collection[str] | None = None, using: str | None = None, count: int = NEXT
) -> list[ScheduleView]:
    """Return all schedules, or those of some namespaces, by namespace and name."""
    return list(page(namespaces=namespaces, using=using, count=count).rows)


def page(
    *,
    namespaces: Collection[str] | None = None,
    after: tuple[str, str] | None = None,
    limit: int | None = None,
    using: str | None = None,
    count: int = NEXT,
) -> Page[ScheduleView]:
    """Return a page of `views`, or all; the next page is `after` the namespace and the name of the last row."""
    using = using or work_database()
    rows = Schedule.objects.using(using).order_by("namespace", "name")
    if namespaces is not None:
        rows = rows.filter(namespace__in=namespaces)
    if after is not None:
        rows = rows.filter(behind("namespace", "name", after))
    now = clock.now(using)
    part = part_of(rows if limit is None else rows[: checked_limit(limit) + 1], limit)
    return Page(rows=tuple(view(schedule, now, count=count) for schedule in part.rows), more=part.more)


def view(schedule: Schedule, now: dt.datetime, *, count: int = NEXT) -> ScheduleView:
    """Return what is to be said of one schedule now, also of one whose times cannot be told on this host."""
    try:
        times, runs, trouble = times_in_words(schedule), tuple(_next(schedule, now, count)), _trouble(schedule, now)
    except InvalidInput as error:
        times, runs, trouble = schedule.cron, (), str(error)
    return ScheduleView(schedule=schedule, times=times, next_runs=runs, trouble=trouble, now=now)


def upcoming_in_words(schedule: Schedule, now: dt.datetime) -> str:
    """Return when the schedule runs next, or would if it were not paused; empty when never, or nobody can tell here."""
    try:
        run = next(iter(_next(schedule, now, 1)), None) if schedule.enabled else timetable(schedule).after(now)
        where = cron.zone(schedule.timezone)
    except InvalidInput:
        return ""
    return "" if run is None else f"{_on_the_wall(run, where)} ({_distance((run - now).total_seconds())})"


def times_in_words(schedule: Schedule) -> str:
    """Return when the schedule fires, for people."""
    if schedule.kind == ScheduleKind.CRON:
        return f"{schedule.cron} ({schedule.timezone})"
    if schedule.kind == ScheduleKind.INTERVAL:
        return f"every {span(schedule.every or 0.0)}"
    return f"once, {_on_the_wall(schedule.anchor, cron.zone(schedule.timezone))}" if schedule.anchor else "once"


def _next(schedule: Schedule, now: dt.datetime, count: int) -> list[dt.datetime]:
    if not schedule.enabled or schedule.next_run is None:
        return []
    if schedule.next_run > now:
        return [schedule.next_run, *timetable(schedule).next(schedule.next_run, count - 1)]
    return timetable(schedule).next(now, count)


def _trouble(schedule: Schedule, now: dt.datetime) -> str:
    if not schedule.enabled:
        return "paused"
    if schedule.error:
        return f"refused {schedule.failures} times: {schedule.error}"
    if schedule.next_run is not None and (now - schedule.next_run).total_seconds() > LATE_SECONDS:
        late = span((now - schedule.next_run).total_seconds())
        return f"due since {late}: no worker that offers the engine {schedule.engine} looks"
    return ""


def _on_the_wall(moment: dt.datetime, where: dt.tzinfo) -> str:
    return moment.astimezone(where).strftime("%a %d %b %Y, %H:%M:%S %Z").replace(":00 ", " ", 1)


def _distance(seconds: float) -> str:
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} ago"
