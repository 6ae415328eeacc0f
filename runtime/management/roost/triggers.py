"""`roost triggers`: list, set and remove triggers."""

from __future__ import annotations

import argparse
from typing import Any

from runtime.choices import TriggerEvent
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.management.roost.inputs import as_json, payload
from runtime.models import Trigger
from runtime.operations.triggers import remove_trigger, set_trigger
from runtime.queries import triggers
from runtime.queries.triggers import TriggerView

SHAPE = shapes.columns(Trigger, "id")
SIMPLE = ("namespace", "engine", "on", "condition", "target", "note", "enabled")


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("triggers", about="Work that is enqueued when other work ends.")
    group.add("list", list_triggers, about="List triggers, those of the settings too.")
    parser = group.add("set", change, about="Make a trigger, or change one; it holds within a second.")
    parser.add_argument("name", metavar="NAME", help="The trigger's name.")
    parser.add_argument("--engine", metavar="NAME", help="When an item of this engine …")
    parser.add_argument("--on", choices=TriggerEvent.values, help="… is done, which is the default, or failed …")
    parser.add_argument("--if", dest="condition", metavar="CONDITION", help="… and this holds, …")
    parser.add_argument("--target", metavar="NAME", help="… an item of this engine is enqueued.")
    parser.add_argument("--payload", metavar="JSON|@FILE|-", help='Its payload: {"url": "$payload.url"} and so on.')
    parser.add_argument("--options", metavar="JSON", help='Of the item: {"priority": 5, "pool": "slow"} and so on.')
    parser.add_argument("--namespace", metavar="NAME", help="Only in this namespace; '' for any.")
    parser.add_argument("--note", metavar="TEXT", help="For people.")
    parser.add_argument("--enabled", action=argparse.BooleanOptionalAction, help="Whether it fires.")
    parser = group.add("remove", remove, about="Remove a trigger; the items that it enqueued stay.")
    parser.add_argument("name", metavar="NAME", help="The trigger's name.")


def list_triggers(call: Call) -> None:
    """List triggers by name."""
    views = triggers.views(using=call.using)
    call.printer.document({"triggers": [{**shapes.plain(view.values), "source": view.source} for view in views]})
    rows = (
        (
            view.values["name"],
            _when(view),
            view.values["condition"] or "-",
            view.values["target"],
            view.source if view.values["enabled"] else "disabled",
            view.values["note"],
        )
        for view in views
    )
    call.printer.table(("name", "when", "if", "enqueues", "from", "note"), rows, empty="No trigger is set.")


def change(call: Call) -> None:
    """Make or change a trigger; options that are left out stay as they are."""
    given: dict[str, Any] = {name: call.options[name] for name in SIMPLE if call.options[name] is not None}
    if call.options["payload"] is not None:
        given["payload"] = payload(call.options["payload"])
    if call.options["options"] is not None:
        given["options"] = as_json(call.options["options"], "options")
    trigger = set_trigger(call.options["name"], using=call.using, **given)
    call.printer.document({"trigger": shapes.row(trigger, SHAPE)})
    call.printer.line(f"The trigger {trigger.name} is set.")


def remove(call: Call) -> None:
    """Remove a trigger."""
    remove_trigger(call.options["name"], using=call.using)
    call.printer.document({"removed": call.options["name"]})
    call.printer.line(f"The trigger {call.options['name']} is removed.")


def _when(view: TriggerView) -> str:
    values = view.values
    where = f" in {values['namespace']}" if values["namespace"] else ""
    return f"{values['engine']}{where} {values['on']}"
