"""`roost schedules`: list, show, set, pause, resume, run and remove schedules."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandParser

from runtime import clock
from runtime.choices import CatchUp
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.management.roost.inputs import as_json, as_moment, payload
from runtime.models import Schedule
from runtime.operations.schedule_moves import pause_schedule, resume_schedule, run_schedule
from runtime.operations.schedules import find_schedule, remove_schedule, set_schedule
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.queries import schedules
from runtime.queries.schedules import ScheduleView
from runtime.queries.words import moment

SHAPE = shapes.columns(Schedule, "fire_at")
SIMPLE = ("engine", "cron", "timezone", "every", "catch_up", "time_field", "note", "enabled")
TIMES = ("at", "start_at")


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("schedules", about="Work that is enqueued by the clock.")
    parser = group.add("list", list_schedules, about="List schedules, with their next runs.")
    parser.add_argument("--namespace", metavar="NAME", help="Only this one's.")
    for name, run, about in (
        ("show", show, "Show a schedule and its next five runs."),
        ("pause", pause, "Keep a schedule from firing."),
        ("resume", resume, "Let a paused schedule fire again, from its next time on."),
        ("run", run_now, "Enqueue what it enqueues, now, beside its own times."),
        ("remove", remove, "Remove a schedule; the items that it made stay."),
    ):
        _named(group.add(name, run, about=about))
    _declare_set(_named(group.add("set", change, about="Make a schedule, or change one; prints its next five runs.")))


def _named(parser: CommandParser) -> CommandParser:
    parser.add_argument("name", metavar="NAME", help="The schedule's name.")
    parser.add_argument("--namespace", metavar="NAME", default=DEFAULT_NAMESPACE)
    return parser


def _declare_set(parser: CommandParser) -> None:
    parser.add_argument("--engine", metavar="NAME", help="See `roost engines`.")
    parser.add_argument("--payload", metavar="JSON|@FILE|-", help="JSON, @ and the name of a file, or - for stdin.")
    parser.add_argument("--options", metavar="JSON", help='Of the items: {"priority": 5, "pool": "slow"} and so on.')
    parser.add_argument("--cron", metavar="TEXT", help="Five fields: minute, hour, day of month, month, day of week.")
    parser.add_argument("--timezone", metavar="NAME", help="Whose clock on the wall cron reads; UTC if not given.")
    parser.add_argument("--every", type=float, metavar="SECONDS", help="In place of cron: the time between two runs.")
    parser.add_argument("--start-at", dest="start_at", metavar="TIME", help="What the interval counts from.")
    parser.add_argument("--at", metavar="TIME", help="In place of cron: once, at this time.")
    parser.add_argument("--catch-up", dest="catch_up", choices=CatchUp.values, help="What is done about missed runs.")
    parser.add_argument("--time-field", dest="time_field", metavar="KEY", help="Payload field for the intended time.")
    parser.add_argument("--note", metavar="TEXT", help="For people.")
    parser.add_argument("--enabled", action=argparse.BooleanOptionalAction, help="Whether it fires.")


def list_schedules(call: Call) -> None:
    """List schedules by namespace and name."""
    only = call.options["namespace"]
    views = schedules.views(namespaces=None if only is None else [only], using=call.using)
    call.printer.document({"schedules": [document(view) for view in views]})
    rows = (
        (
            view.schedule.name,
            view.schedule.namespace,
            view.schedule.engine,
            view.times,
            next(iter(view.in_words), "-"),
            moment(view.schedule.last_run),
            view.trouble or view.schedule.note,
        )
        for view in views
    )
    head = ("name", "namespace", "engine", "when", "next run", "last run", "note")
    call.printer.table(head, rows, empty="No schedule is set.")


def show(call: Call) -> None:
    """Show one schedule."""
    _show(call, find_schedule(call.options["name"], namespace=call.options["namespace"], using=call.using))


def change(call: Call) -> None:
    """Make or change a schedule; options that are left out stay as they are."""
    given: dict[str, Any] = {name: call.options[name] for name in SIMPLE if call.options[name] is not None}
    given |= {name: as_moment(call.options[name], name) for name in TIMES if call.options[name] is not None}
    if call.options["payload"] is not None:
        given["payload"] = payload(call.options["payload"])
    if call.options["options"] is not None:
        given["options"] = as_json(call.options["options"], "options")
    _show(call, set_schedule(call.options["name"], namespace=call.options["namespace"], using=call.using, **given))


def pause(call: Call) -> None:
    """Pause a schedule."""
    _show(call, pause_schedule(call.options["name"], namespace=call.options["namespace"], using=call.using))


def resume(call: Call) -> None:
    """Resume a schedule."""
    _show(call, resume_schedule(call.options["name"], namespace=call.options["namespace"], using=call.using))


def run_now(call: Call) -> None:
    """Enqueue an item of the schedule and print its id."""
    name, namespace = call.options["name"], call.options["namespace"]
    item = run_schedule(name, namespace=namespace, actor=call.actor, using=call.using)
    call.printer.document({"id": str(item.pk), "state": item.state})
    call.printer.line(str(item.pk))


def remove(call: Call) -> None:
    """Remove a schedule."""
    remove_schedule(call.options["name"], namespace=call.options["namespace"], using=call.using)
    call.printer.document({"removed": call.options["name"]})
    call.printer.line(f"The schedule {call.options['name']} is removed.")


def _show(call: Call, schedule: Schedule) -> None:
    view = schedules.view(schedule, clock.now(call.using))
    call.printer.document({"schedule": document(view)})
    state = f" ({view.trouble})" if view.trouble else ""
    call.printer.line(f"{schedule.name}: {schedule.engine}, {view.times}{state}")
    for words in view.in_words:
        call.printer.line(f"  {words}")
    if not view.next_runs:
        call.printer.line("  no further run")


def document(view: ScheduleView) -> dict[str, Any]:
    """Return a schedule as plain data."""
    more = {"times": view.times, "next_runs": shapes.plain(view.next_runs), "trouble": view.trouble}
    return {**shapes.row(view.schedule, SHAPE), **more}
