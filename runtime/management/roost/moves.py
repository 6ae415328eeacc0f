"""`roost cancel`, `requeue`, `redrive`, `follow-up`, `pause`, `resume`, `release`, `hold`, `prioritise`: move items."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from runtime.conf import settings as roost
from runtime.exceptions import RoostError
from runtime.management.roost.call import Call, Commands, exit_code
from runtime.management.roost.inputs import json_option
from runtime.management.roost.matching import are_named, choices, move_matching
from runtime.models import WorkItem
from runtime.operations.base import ItemOperation, locked_is_conflict
from runtime.operations.cancel import Cancel, cancel
from runtime.operations.follow_up import follow_up
from runtime.operations.hold import hold, unhold
from runtime.operations.pause import Pause, pause
from runtime.operations.prioritise import Prioritise, prioritise
from runtime.operations.redrive import Redrive, redrive
from runtime.operations.release import release
from runtime.operations.requeue import Requeue, requeue
from runtime.operations.resume import Resume, resume
from runtime.queries import items

Operation = Callable[..., WorkItem]


def register(commands: Commands) -> None:
    """Declare the commands."""
    _declare(
        commands,
        "cancel",
        cancel,
        judge=Cancel,
        about="Cancel items for good; a running step is told and its outcome refused.",
    )
    _declare(
        commands,
        "requeue",
        requeue,
        judge=Requeue,
        about="Make items due now; a running step is fenced off and runs again.",
    )
    parser = _declare(
        commands,
        "redrive",
        redrive,
        judge=Redrive,
        about="Bring dead letters back; they go on from their last snapshot.",
    )
    parser.add_argument("--from-version", type=int, metavar="K", help="Go on from snapshot K instead.")
    parser.add_argument("--max-steps", type=int, metavar="N", help="A new limit, for items that used up their steps.")
    parser = _declare(
        commands, "follow-up", follow_up, about="Reopen items that have ended, with new input and kept state."
    )
    parser.add_argument("--input", dest="follow_up_input", metavar="JSON|@FILE|-", help="What their next step gets.")
    parser.add_argument("--max-steps", type=int, metavar="N", help="A new limit, for items that used up their steps.")
    parser = _declare(commands, "pause", pause, judge=Pause, about="Pause items at the end of their running step.")
    parser.add_argument("--now", action="store_true", default=None, help="Do not wait for the step: fence it off.")
    parser = _declare(commands, "resume", resume, judge=Resume, about="Let paused items go on.")
    parser.add_argument("--steps", type=int, metavar="N", help="Pause again after N more steps.")
    parser = _declare(commands, "release", release, about="End the lease of running items, or a claim on a resource.")
    parser.add_argument("--resource", metavar="KEY", help="End the claim on this resource instead.")
    _declare(commands, "hold", hold, about="Put items on legal hold: they, and what they need, are never pruned.")
    _declare(commands, "unhold", unhold, about="Lift the legal hold of items.")
    parser = _declare(
        commands, "prioritise", prioritise, judge=Prioritise, about="Set the priority of items that have not ended."
    )
    parser.add_argument("--priority", type=int, required=True, metavar="N", help="Higher is sooner.")


EXTRA = ("from_version", "max_steps", "now", "priority", "resource", "steps")
"""Options that are arguments of some operations, under the same name."""


def _declare(
    commands: Commands, verb: str, operation: Operation, *, about: str, judge: type[ItemOperation] | None = None
) -> CommandParser:
    """Declare a verb; with `judge`, its operation, it is for all that match a filter too."""

    def run(call: Call) -> None:
        extra = {name: call.options[name] for name in EXTRA if call.options.get(name) is not None}
        if call.options.get("follow_up_input") is not None:
            extra["input"] = json_option(call.options["follow_up_input"], "input", roost.MAX_PAYLOAD_BYTES)
        if judge is None or are_named(call):
            each(call, verb, operation, call.options["items"], **extra)
        else:
            move_matching(call, verb, operation, judge, **extra)

    parser = commands.add(verb, run, about=about)
    several = "+" if judge is None else "*"
    parser.add_argument("items", nargs=several, metavar="ID", help="Ids of work items, or their first digits.")
    if judge is not None:
        choices(parser)
    parser.add_argument("--reason", default="", help="Kept in the items' history.")
    return parser


def each(call: Call, verb: str, operation: Operation, named: Iterable[str | uuid.UUID], **extra: Any) -> None:
    """Do it to every item, each in a transaction of its own, and fail at the end if one was refused."""
    moved: list[WorkItem] = []
    refused: list[dict[str, Any]] = []
    code = 0
    for name in named:
        try:
            item = items.get(name, using=call.using)
            told = {"actor": call.actor, "reason": call.options["reason"], "using": call.using, **extra}
            with locked_is_conflict(item.pk):
                moved.append(operation(item.pk, **told))
        except RoostError as error:
            refused.append({"item": str(name), "code": error.code, "error": str(error)})
            code = max(code, exit_code(error))
    done = [{"id": str(item.pk), "state": item.state, "reason": item.reason} for item in moved]
    call.printer.document({"verb": verb, "moved": done, "refused": refused})
    for one in done:
        call.printer.line(f"{one['id']}  {one['state']}" + (f" ({one['reason']})" if one["reason"] else ""))
    if refused:
        raise CommandError("\n".join(one["error"] for one in refused), returncode=code)
