"""`roost webhook-targets`: list, set and remove those who are told when work ends or waits."""

from __future__ import annotations

import argparse
from typing import Any

from runtime.choices import TargetEvent
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.management.roost.inputs import as_json
from runtime.models import WebhookTarget
from runtime.operations.notices import CONTENTS
from runtime.operations.targets import SetTarget, remove_target
from runtime.queries import targets
from runtime.queries.targets import TargetView

SHAPE = shapes.columns(WebhookTarget, "id", "url", "secret")
SIMPLE = ("url", "namespace", "engine", "condition", "redact", "secret", "enabled", "note")


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("webhook-targets", about="Who is told when work ends or waits.")
    group.add("list", list_targets, about="List webhook targets, those of the settings too, and what they were told.")
    parser = group.add("set", change, about="Make a target, or change one; prints a secret that was made.")
    parser.add_argument("name", metavar="NAME", help="The target's name.")
    parser.add_argument("--url", metavar="URL", help="What is called.")
    parser.add_argument("--events", metavar="LIST", help=f"Separated by commas, of {', '.join(TargetEvent.values)}.")
    parser.add_argument("--engine", metavar="NAME", help="Only items of this engine; '' for any.")
    parser.add_argument("--namespace", metavar="NAME", help="Only in this namespace; '' for any.")
    parser.add_argument("--if", dest="condition", metavar="CONDITION", help="Only what this holds of.")
    parser.add_argument("--contents", metavar="LIST", help=f"Separated by commas, of {', '.join(CONTENTS)}.")
    parser.add_argument("--redact", action=argparse.BooleanOptionalAction, help="Take out what looks like a secret.")
    parser.add_argument("--options", metavar="JSON", help='Of the deliveries: {"priority": 5} and so on.')
    parser.add_argument("--secret", metavar="TEXT|env:NAME", help="Made here if a new target is given none.")
    parser.add_argument("--new-secret", action="store_true", help="Make another secret, and print it once.")
    parser.add_argument("--note", metavar="TEXT", help="For people.")
    parser.add_argument("--enabled", action=argparse.BooleanOptionalAction, help="Whether it is told anything.")
    parser = group.add("remove", remove, about="Remove a target; deliveries that are under way fail.")
    parser.add_argument("name", metavar="NAME", help="The target's name.")


def list_targets(call: Call) -> None:
    """List targets by name."""
    views = targets.views(using=call.using)
    call.printer.document({"targets": [_document(view) for view in views]})
    headers = ("name", "server", "told of", "delivered", "failed attempts", "from", "trouble")
    rows = (
        (
            view.values["name"],
            view.server,
            view.about,
            view.values.get("delivered_total", "-"),
            view.values.get("failed_total", "-"),
            view.source if view.values["enabled"] else "disabled",
            view.trouble or view.values.get("error", ""),
        )
        for view in views
    )
    call.printer.table(headers, rows, empty="No webhook target is set.")


def change(call: Call) -> None:
    """Make or change a target; options that are left out stay as they are."""
    given: dict[str, Any] = {name: call.options[name] for name in SIMPLE if call.options[name] is not None}
    for name in ("events", "contents"):
        if call.options[name] is not None:
            given[name] = [one.strip() for one in call.options[name].split(",") if one.strip()]
    if call.options["options"] is not None:
        given["options"] = as_json(call.options["options"], "options")
    made = SetTarget(
        call.options["name"], new_secret=call.options["new_secret"], actor=call.actor, using=call.using, **given
    ).execute()
    told = {"target": shapes.row(made.target, SHAPE)} | ({"secret": made.secret} if made.secret else {})
    call.printer.document(told)
    call.printer.line(f"The webhook target {made.target.name} is set.")
    if made.secret:
        call.printer.line(f"Its secret, shown this once: {made.secret}")


def remove(call: Call) -> None:
    """Remove a target."""
    remove_target(call.options["name"], using=call.using)
    call.printer.document({"removed": call.options["name"]})
    call.printer.line(f"The webhook target {call.options['name']} is removed.")


def _document(view: TargetView) -> dict[str, Any]:
    told = {"source": view.source, "server": view.server, "secret_in": view.secret_in, "trouble": view.trouble}
    return {**shapes.plain(view.values), **told}
