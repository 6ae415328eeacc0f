"""`roost cancel`, `requeue`, `redrive`, `follow-up`, `pause`, `resume`, `release`, `hold`, `prioritise`: move items."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from runtime.conf import settings as roost
from runtime.exceptions import RoostError
from runtime.management.roost.call import Call, Commands, exit_code
from runtime.management.roost.enqueue import json_option
from runtime.models import WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.follow_up import follow_up
from runtime.operations.hold import hold, unhold
from runtime.operations.pause import pause
from runtime.operations.prioritise import prioritise
from runtime.operations.redrive import redrive
from runtime.operations.release import release
from runtime.operations.requeue import requeue
from runtime.operations.resume import resume
from runtime.queries import items

Operation = Callable[..., WorkItem]


def register(commands: Commands) -> None:
    """Declare the commands."""
    _declare(commands, "cancel", cancel, "Cancel items for good; a running step is told and its outcome refused.")
    _declare(commands, "requeue", requeue, "Make items due now; a running step is fenced off and runs again.")
    parser = _declare(commands, "redrive", redrive, "Bring dead letters back; they go on from their last snapshot.")
    parser.add_argument("--from-version", type=int, metavar="K", help="Go on from snapshot K instead.")
    parser.add_argument("--max-steps", type=int, metavar="N", help="A new limit, for items that used up their steps.")
    parser = _declare(commands, "follow-up", follow_up, "Reopen items that have ended, with new input and kept state.")
    parser.add_argument("--input", dest="follow_up_input", metavar="JSON|@FILE|-", help="What their next step gets.")
    parser.add_argument("--max-steps", type=int, metavar="N", help="A new limit, for items that used up their steps.")
    parser = _declare(commands, "pause", pause, "Pause items at the end of their running step.")
    parser.add_argument("--now", action="store_true", default=None, help="Do not wait for the step: fence it off.")
    parser = _declare(commands, "resume", resume, "Let paused items go on.")
    parser.add_argument("--steps", type=int, metavar="N", help="Pause again after N more steps.")
    parser = _declare(commands, "release", release, "End the lease of running items, or a claim on a resource.")
    parser.add_argument("--resource", metavar="KEY", help="End the claim on this resource instead.")
    _declare(commands, "hold", hold, "Put items on legal hold: they, and what they need, are never pruned.")
    _declare(commands, "unhold", unhold, "Lift the legal hold of items.")
    parser = _declare(commands, "prioritise", prioritise, "Set the priority of items that have not ended.")
    parser.add_argument("--priority", type=int, required=True, metavar="N", help="Higher is sooner.")


EXTRA = ("from_version", "max_steps", "now", "priority", "resource", "steps")
"""Options that are arguments of some operations, under the same name."""


def _declare(commands: Commands, verb: str, operation: Operation, about: str) -> CommandParser:
    def run(call: Call) -> None:
        extra = {name: call.options[name] for name in EXTRA if call.options.get(name) is not None}
        if call.options.get("follow_up_input") is not None:
            extra["input"] = json_option(call.options["follow_up_input"], "input", roost.MAX_PAYLOAD_BYTES)
        each(call, verb, operation, call.options["items"], **extra)

    parser = commands.add(verb, run, about=about)
    parser.add_argument("items", nargs="+", metavar="ID", help="Ids of work items, or their first digits.")
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
            moved.append(operation(item.pk, actor=call.actor, reason=call.options["reason"], using=call.using, **extra))
        except RoostError as error:
            refused.append({"item": str(name), "code": error.code, "error": str(error)})
            code = max(code, exit_code(error))
    done = [{"id": str(item.pk), "state": item.state, "reason": item.reason} for item in moved]
    call.printer.document({"verb": verb, "moved": done, "refused": refused})
    for one in done:
        call.printer.line(f"{one['id']}  {one['state']}" + (f" ({one['reason']})" if one["reason"] else ""))
    if refused:
        raise CommandError("\n".join(one["error"] for one in refused), returncode=code)
