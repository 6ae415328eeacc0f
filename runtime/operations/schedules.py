"""Set and remove schedules. They are configuration, not work: an operator edits them while workers run.

set_schedule("nightly", engine="report", cron="30 2 * * *", timezone="Europe/Berlin")
set_schedule("pulse", engine="watchlist", payload={"urls": […]}, every=60, catch_up="none")
set_schedule("launch", engine="mail", at=launch_day)
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any, TypedDict, Unpack

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from runtime import clock, cron, faults, wake
from runtime.choices import CatchUp, ScheduleKind
from runtime.exceptions import InvalidInput, NotFound, StaleVersion
from runtime.models import Schedule
from runtime.operations import fields, item_options
from runtime.operations.base import check_permission, require_reach
from runtime.operations.firing import build_item, timetable
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.sentences import say as _
from runtime.store import work_database
from runtime.store.transactions import transacted

MAX_NOTE = 500
LEAST_SECONDS = 1.0
TIMES = ("kind", "cron", "timezone", "every", "anchor")


class ScheduleOptions(TypedDict, total=False):
    """What a schedule has; what is left out stays as it is, or is the default of a new schedule.

    One of `cron`, `every` and `at` says when: a cron text, read in `timezone`; seconds between two firings, counted
    from `start_at`, by default from when it is set; or the one moment.
    """

    engine: str
    payload: Any
    options: Mapping[str, Any]
    cron: str
    timezone: str
    every: float | dt.timedelta
    start_at: dt.datetime
    at: dt.datetime
    catch_up: str
    time_field: str
    enabled: bool
    note: str


class SetSchedule:
    """Make a schedule of that name, or change the one there is.

    New times hold from now on: what was missed under the old ones is not made up for. Other changes leave the next
    run as it is. `by` is a Django user whose permission is checked, or None for trusted code. With `row_version` it
    is changed only if nobody edited it since that version was read.
    """

    def __init__(
        self,
        name: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        by: Any = None,
        row_version: int | None = None,
        using: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> None:
        self.name = fields.text(name, "name", limit=100)
        self.namespace = fields.name(namespace, "namespace")
        self.by = by
        self.row_version = row_version
        self.using = using or work_database()
        self.options = _checked(options)

    def check(self) -> None:
        """Raise `Forbidden` or `InvalidInput` unless it would be done now. Changes nothing."""
        self._prepare(_named(self.using, self.namespace, self.name).first())

    def execute(self) -> Schedule:
        """Do it and return the schedule. One transaction; joins the caller's."""

        def once() -> Schedule:
            found = _named(self.using, self.namespace, self.name).select_for_update(no_key=True).first()
            schedule, changes = self._prepare(found)
            if found is None:
                schedule.save(using=self.using, force_insert=True)
            elif changes:
                found.compare_and_set(**changes)
            return schedule if found is None else found

        with faults.around("rule"):
            try:
                schedule = transacted(self.using, once)
            except IntegrityError:  # somebody made one of that name at this instant: now there is one to change
                schedule = transacted(self.using, once)
        transaction.on_commit(partial(wake.reschedule, self.using), using=self.using, robust=True)
        return schedule

    def _prepare(self, found: Schedule | None) -> tuple[Schedule, dict[str, Any]]:
        """Return the schedule as it would be, unsaved, and the changes of the one that was found."""
        # Before the permission, whose name would tell whether there is one.
        require_reach(self.by, self.namespace)
        check_permission(self.by, "change_schedule" if found else "add_schedule", "set schedules")
        if found is not None and self.row_version not in (None, found.row_version):
            raise StaleVersion(_("The schedule %(name)r changed since it was read. Look at it again.", name=self.name))
        now = clock.now(self.using)
        kept = {} if found is None else {field.attname: getattr(found, field.attname) for field in _COLUMNS}
        wanted = Schedule(**(kept | {"name": self.name, "namespace": self.namespace, "created_at": now} | self.options))
        _complete(wanted, found, now)
        build_item(wanted, now, using=self.using)
        changes = {field.attname: getattr(wanted, field.attname) for field in _COLUMNS}
        changes = {name: value for name, value in changes.items() if name not in kept or kept[name] != value}
        if found is None or any(name in changes for name in TIMES) or ("enabled" in changes and wanted.enabled):
            changes |= _from_now_on(wanted, now)
        elif changes and found.failures:
            # It has just made an item: what refused it is mended, and it need not wait for its next attempt.
            changes |= {"fire_at": found.next_run, "failures": 0, "error": ""}
        if changes:
            changes["updated_at"] = now
        for name, value in changes.items():
            setattr(wanted, name, value)
        return wanted, changes


def set_schedule(
    name: str,
    *,
    namespace: str = DEFAULT_NAMESPACE,
    by: Any = None,
    using: str | None = None,
    **options: Unpack[ScheduleOptions],
) -> Schedule:
    """Make or change a schedule and return it. Raises `InvalidInput`, `Forbidden`."""
    return SetSchedule(name, namespace=namespace, by=by, using=using, **options).execute()


def remove_schedule(name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, using: str | None = None) -> None:
    """Remove a schedule for good; the items that it enqueued stay. Raises `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "delete_schedule", "remove schedules")
    require_reach(by, namespace, missing_schedule(namespace, name))
    with faults.around("rule"):
        removed = transacted(using, lambda: _named(using, namespace, name).delete()[0])
    if not removed:
        raise missing_schedule(namespace, name)


def find_schedule(name: str, *, namespace: str = DEFAULT_NAMESPACE, using: str, lock: bool = False) -> Schedule:
    """Return the schedule of that name, its row locked on wish. Raises `NotFound`."""
    rows = _named(using, namespace, name)
    found = (rows.select_for_update(no_key=True) if lock else rows).first()
    if found is None:
        raise missing_schedule(namespace, name)
    return found


def schedule_by_id(schedule: uuid.UUID, *, using: str, lock: bool = False) -> Schedule:
    """Return the schedule of that id, its row locked on wish. Raises `NotFound`."""
    rows = Schedule.objects.using(using).filter(pk=schedule)
    found: Schedule | None = (rows.select_for_update(no_key=True) if lock else rows).first()
    if found is None:
        raise gone_schedule(schedule)
    return found


def gone_schedule(schedule: uuid.UUID) -> NotFound:
    """Return the error for a schedule of that id that is not there, or out of reach."""
    return NotFound(_("There is no schedule %(id)s: it was removed.", id=schedule))


def upcoming_run(schedule: Schedule, now: dt.datetime) -> dt.datetime:
    """Return the schedule's first time after now, as if it were not paused. Raises `InvalidInput` if there is none."""
    upcoming = timetable(schedule).after(now)
    if upcoming is None:
        raise InvalidInput(
            _("The schedule %(name)r would never fire: its time has passed.", name=schedule.name), field="at"
        )
    return upcoming


_COLUMNS = [
    field
    for field in Schedule._meta.concrete_fields
    if field.editable and field.attname not in ("row_version", "name", "namespace")
]
"""What people say of a schedule."""


def _named(using: str, namespace: str, name: str) -> QuerySet[Schedule]:
    rows: QuerySet[Schedule] = Schedule.objects.using(using).filter(namespace=namespace, name=name)
    return rows


def missing_schedule(namespace: str, name: str) -> NotFound:
    """Return the error for a schedule that is not there, or out of reach."""
    return NotFound(
        _(
            "There is no schedule %(name)r in the namespace %(namespace)r: `roost schedules list` shows those there "
            "are.",
            name=name,
            namespace=namespace,
        )
    )


def _from_now_on(schedule: Schedule, now: dt.datetime) -> dict[str, Any]:
    """Return what makes the schedule fire at its next time after now. Raises `InvalidInput` when there is none."""
    upcoming = upcoming_run(schedule, now) if schedule.enabled else timetable(schedule).after(now)
    return {"next_run": upcoming, "fire_at": upcoming, "failures": 0, "error": ""}


def _complete(schedule: Schedule, found: Schedule | None, now: dt.datetime) -> None:
    """Give an interval what it counts from, as it was if that is not said anew; refuse what lacks its essentials."""
    if not schedule.engine:
        raise InvalidInput(_("The schedule %(name)r needs an engine.", name=schedule.name), field="engine")
    if not schedule.kind:
        raise InvalidInput(
            _("The schedule %(name)r needs a time: cron, every, or at.", name=schedule.name), field="cron"
        )
    if schedule.kind == ScheduleKind.INTERVAL and schedule.anchor is None:
        same = found is not None and (found.kind, found.every) == (schedule.kind, schedule.every)
        schedule.anchor = found.anchor if found is not None and same else now
    if schedule.time_field and not (schedule.payload is None or isinstance(schedule.payload, dict)):
        raise InvalidInput(_("The payload must be an object to take the time in a field."), field="time_field")


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in the form in which they are stored. Raises `InvalidInput`; pure."""
    checked = {name: given[name] for name in ("payload", "enabled") if name in given}
    if "engine" in given:
        checked["engine"] = fields.text(given["engine"], "engine", limit=100)
    for name, most in (("note", MAX_NOTE), ("time_field", 100)):
        if name in given:
            checked[name] = fields.text(given[name], name, limit=most) if given[name] else ""
    if "options" in given:
        checked["options"] = item_options.checked(given["options"])
    if "timezone" in given:
        checked["timezone"] = cron.zone(given["timezone"]).key
    if "catch_up" in given:
        if given["catch_up"] not in CatchUp.values:
            raise InvalidInput(
                _(
                    "catch_up is %(given)r; it must be one of %(names)s.",
                    given=given["catch_up"],
                    names=", ".join(CatchUp.values),
                ),
                field="catch_up",
            )
        checked["catch_up"] = given["catch_up"]
    return checked | _times(given)


def _times(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that say when, all of them, or none when nothing is said of it."""
    said = [name for name in ("cron", "every", "at") if given.get(name) is not None]
    if len(said) > 1:
        raise InvalidInput(_("%(names)s both say when. Give one of them.", names=" and ".join(said)), field=said[1])
    start = None if given.get("start_at") is None else fields.moment(given["start_at"], "start_at")
    if start is not None and said != ["every"]:
        raise InvalidInput(_("start_at is for an interval: give every as well."), field="start_at")
    if said == ["cron"]:
        return {"kind": ScheduleKind.CRON, "cron": cron.parse(given["cron"]), "every": None, "anchor": None}
    if said == ["at"]:
        moment = fields.moment(given["at"], "at")
        return {"kind": ScheduleKind.ONCE, "cron": "", "every": None, "anchor": moment}
    if said == ["every"]:
        every = fields.seconds(given["every"], "every", positive=True)
        if every < LEAST_SECONDS:
            raise InvalidInput(
                _(
                    "every is %(every)s s; at least %(least_seconds)s s are needed.",
                    every=f"{every:g}",
                    least_seconds=f"{LEAST_SECONDS:g}",
                ),
                field="every",
            )
        return {"kind": ScheduleKind.INTERVAL, "cron": "", "every": every, "anchor": start}
    return {}
