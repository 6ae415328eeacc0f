"""`roost enqueue`: put an item in the queue and print its id, alone."""

from __future__ import annotations

import datetime as dt
from typing import Any

from runtime.management.roost.call import Call, Commands
from runtime.management.roost.inputs import as_json, as_moment, payload
from runtime.operations.enqueue import enqueue as enqueue_item
from runtime.operations.spec import ItemOptions
from runtime.queries import items

OPTIONS = tuple(ItemOptions.__annotations__)


def register(commands: Commands) -> None:
    """Declare the command."""
    parser = commands.add("enqueue", enqueue, about="Enqueue a work item and print its id.")
    parser.add_argument("--engine", required=True, metavar="NAME", help="See `roost engines`.")
    parser.add_argument("--payload", metavar="JSON|@FILE|-", help="JSON, @ and the name of a file, or - for stdin.")
    parser.add_argument(
        "--resource", dest="resources", action="append", metavar="KEY", help="Resource it needs, also as a JSON object."
    )
    parser.add_argument("--delay", type=float, metavar="SECONDS", help="Not due before this many seconds.")
    parser.add_argument("--priority", type=int, metavar="N", help="Higher is sooner.")
    parser.add_argument("--deadline", metavar="TIME|SECONDS", help="Fails unless done by then: ISO time or from now.")
    parser.add_argument("--idempotency-key", metavar="KEY", help="The same key gives the same item.")
    parser.add_argument("--namespace", metavar="NAME")
    parser.add_argument("--fair-key", metavar="KEY", help="Items take turns by this key.")
    parser.add_argument("--pool", metavar="NAME", help="Workers that may take it.")
    parser.add_argument("--parent", metavar="ID", help="Item that it is a child of.")
    parser.add_argument("--max-attempts", type=int, metavar="N", help="Attempts of one step.")
    parser.add_argument("--max-steps", type=int, metavar="N", help="Steps over its whole life.")
    parser.add_argument("--pause-after", type=int, metavar="N", help="Pause after N steps, until it is resumed.")
    parser.add_argument("--step-timeout", type=float, metavar="SECONDS")
    parser.add_argument("--item-timeout", type=float, metavar="SECONDS")


def enqueue(call: Call) -> None:
    """Enqueue the item. Whatever is wrong with the input is told in one line, and nothing is stored."""
    given: Any = {name: call.options[name] for name in OPTIONS if call.options.get(name) is not None}
    if "deadline" in given:
        given["deadline"] = deadline(given["deadline"])
    if "parent" in given:
        given["parent"] = items.get(given["parent"], using=call.using).pk
    if "resources" in given:
        given["resources"] = [resource(text) for text in given["resources"]]
    item = enqueue_item(
        call.options["engine"], payload(call.options["payload"]), actor=call.actor, using=call.using, **given
    )
    call.printer.document({"id": str(item.pk), "state": item.state})
    call.printer.line(str(item.pk))


def deadline(text: str) -> dt.datetime | dt.timedelta:
    """Return the deadline that the option means: seconds from now, or a time with its zone. Raises `InvalidInput`."""
    try:
        return dt.timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        return as_moment(text, "deadline", nor="seconds from now")


def resource(text: str) -> Any:
    """Return the resource that the option means: a key, or an object with key, mode, units, scope."""
    return as_json(text, "resource") if text.startswith("{") else text
