"""`roost limits`: list, set and remove limits."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandParser

from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.models import Limit
from runtime.operations.limits import remove_limit, set_limit
from runtime.queries import limits
from runtime.queries.limits import LimitView
from runtime.queries.words import span

SHAPE = shapes.columns(Limit, "id", "tokens", "refilled_at")
NUMBERS = {
    "concurrency": "Items that may run at once; 0 lets none start.",
    "rate": "Steps per period.",
    "burst": "Steps at once after a pause; the rate if not given.",
}
NONE = "none"


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("limits", about="How many items may run at once, and how many steps in a time.")
    group.add("list", list_limits, about="List limits, with what runs under them.")
    parser = group.add("set", change, about="Make a limit, or change one; it holds from the next claim on.")
    parser.add_argument("name", metavar="NAME", help="The limit's name.")
    for name, words in limits.WORDS.items():
        parser.add_argument(_option(name), dest=name, metavar="TEXT", help=f"Only this {words}; '' for any.")
    _numbers(parser)
    parser.add_argument("--per-seconds", dest="per_seconds", type=float, metavar="SECONDS", help="The rate's period.")
    parser.add_argument("--note", metavar="TEXT", help="For people.")
    parser.add_argument("--enabled", action=argparse.BooleanOptionalAction, help="Whether it holds.")
    parser = group.add("remove", remove, about="Remove a limit.")
    parser.add_argument("name", metavar="NAME", help="The limit's name.")


def list_limits(call: Call) -> None:
    """List limits by name."""
    views = limits.views(using=call.using)
    document = [
        {**shapes.row(view.limit, SHAPE), "running": view.running, "steps_allowed_now": view.tokens} for view in views
    ]
    call.printer.document({"limits": document})
    rows = (
        (view.limit.name, limits.covered(view.limit), _running(view), _rate(view), view.limit.note) for view in views
    )
    call.printer.table(("name", "covers", "running", "rate", "note"), rows, empty="No limit is set.")


def change(call: Call) -> None:
    """Make or change a limit; options that are left out stay as they are."""
    names = (*limits.WORDS, *NUMBERS, "per_seconds", "note", "enabled")
    given: dict[str, Any] = {name: call.options[name] for name in names if call.options[name] is not None}
    given |= {name: None for name in NUMBERS if given.get(name) == NONE}
    limit = set_limit(call.options["name"], using=call.using, **given)
    call.printer.document({"limit": shapes.row(limit, SHAPE)})
    call.printer.line(f"The limit {limit.name} is set.")


def remove(call: Call) -> None:
    """Remove a limit."""
    remove_limit(call.options["name"], using=call.using)
    call.printer.document({"removed": call.options["name"]})
    call.printer.line(f"The limit {call.options['name']} is removed.")


def _numbers(parser: CommandParser) -> None:
    for name, words in NUMBERS.items():
        parser.add_argument(_option(name), dest=name, type=_number, metavar="N", help=f"{words} '{NONE}' lifts it.")


def _number(text: str) -> int | str:
    if text == NONE:
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a whole number nor '{NONE}'.") from None


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _running(view: LimitView) -> str:
    if view.running is None:
        return "disabled"
    return "any number" if view.limit.concurrency is None else f"{view.running} of {view.limit.concurrency}"


def _rate(view: LimitView) -> str:
    limit = view.limit
    if limit.rate is None:
        return ""
    left = "" if view.tokens is None else f", {int(view.tokens)} now"
    return f"{limit.rate} in {span(limit.per_seconds)}, at most {limit.burst or limit.rate} at once{left}"
