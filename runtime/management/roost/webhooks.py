"""`roost webhooks`: list, set, rotate, enable, disable and remove webhooks."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import CommandParser

from runtime.choices import Verifier
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.management.roost.inputs import as_json, payload
from runtime.models import Webhook
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.operations.webhooks import (
    KEEP_SECONDS,
    Issued,
    remove_webhook,
    rotate_secret,
    set_webhook,
    turn_webhook,
)
from runtime.queries import webhooks

SHAPE = shapes.columns(Webhook, "id", "secret", "previous_secret")
SIMPLE = ("engine", "verifier", "secret", "condition", "delivery_from", "max_bytes", "note", "enabled")


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("webhooks", about="Work that is enqueued when somebody calls.")
    group.add("list", list_webhooks, about="List webhooks, those of the settings too, and what they got.")
    _declare_set(group)
    parser = _named(group.add("rotate", rotate, about="Give a webhook a new secret; prints it once."))
    parser.add_argument("--secret", metavar="TEXT|env:NAME", default="", help="The new secret; made here if left out.")
    parser.add_argument(
        "--keep", metavar="SECONDS", type=float, default=KEEP_SECONDS, help="How long the old one is good; a day."
    )
    _named(group.add("enable", enable, about="Take deliveries again."))
    _named(group.add("disable", disable, about="Take no more deliveries."))
    _named(group.add("remove", remove, about="Remove a webhook; the items that it enqueued stay."))


def _declare_set(group: Commands) -> None:
    parser = _named(group.add("set", change, about="Make a webhook, or change one; prints a secret that was made."))
    parser.add_argument("--engine", metavar="NAME", help="The engine of the items.")
    parser.add_argument("--verifier", choices=Verifier.values, help="How its sender is known.")
    parser.add_argument("--verifier-options", metavar="JSON", help='Of hmac: {"header": "x-signature"} and so on.')
    parser.add_argument("--secret", metavar="TEXT|env:NAME", help="Made here if a new webhook is given none.")
    parser.add_argument("--if", dest="condition", metavar="CONDITION", help="Only what this holds of.")
    parser.add_argument("--payload", metavar="JSON|@FILE|-", help='Of the item: {"url": "$body.url"} and so on.')
    parser.add_argument("--options", metavar="JSON", help='Of the item: {"priority": 5, "pool": "slow"} and so on.')
    parser.add_argument("--delivery-from", metavar="PATH|body|none", help="By what a delivery is known again.")
    parser.add_argument("--max-bytes", metavar="N", type=int, help="The largest body that is taken.")
    parser.add_argument("--note", metavar="TEXT", help="For people.")
    parser.add_argument("--enabled", action=argparse.BooleanOptionalAction, help="Whether it takes deliveries.")


def _named(parser: CommandParser) -> CommandParser:
    parser.add_argument("name", metavar="NAME", help="The webhook's name.")
    parser.add_argument("--namespace", metavar="NAME", default=DEFAULT_NAMESPACE, help="Its namespace.")
    return parser


def list_webhooks(call: Call) -> None:
    """List webhooks by namespace and name."""
    views = webhooks.views(using=call.using)
    call.printer.document(
        {
            "webhooks": [
                {
                    **shapes.plain(view.values),
                    "source": view.source,
                    "path": view.path,
                    "secret_in": view.secret_in,
                    "trouble": view.trouble,
                }
                for view in views
            ]
        }
    )
    headers = ("path", "verifier", "enqueues", "accepted", "repeated", "refused", "from", "trouble")
    rows = (
        (
            view.path,
            view.values["verifier"],
            view.values["engine"],
            *(view.values.get(f"{name}_total", "-") for name in ("accepted", "repeated", "refused")),
            view.source if view.values["enabled"] else "disabled",
            view.trouble or view.values.get("error", ""),
        )
        for view in views
    )
    call.printer.table(headers, rows, empty="No webhook is set.")


def change(call: Call) -> None:
    """Make or change a webhook; options that are left out stay as they are."""
    given: dict[str, Any] = {name: call.options[name] for name in SIMPLE if call.options[name] is not None}
    if call.options["payload"] is not None:
        given["payload"] = payload(call.options["payload"])
    for name in ("options", "verifier_options"):
        if call.options[name] is not None:
            given[name] = as_json(call.options[name], name)
    issued = set_webhook(call.options["name"], **_where(call), actor=call.actor, **given)
    _tell(call, issued, "is set")


def rotate(call: Call) -> None:
    """Give a webhook a new secret."""
    options = {"secret": call.options["secret"], "keep": call.options["keep"]}
    _tell(call, rotate_secret(call.options["name"], **_where(call), actor=call.actor, **options), "has a new secret")


def enable(call: Call) -> None:
    """Take deliveries again."""
    webhook = turn_webhook(call.options["name"], enabled=True, **_where(call), actor=call.actor)
    _tell(call, Issued(webhook=webhook), "is enabled")


def disable(call: Call) -> None:
    """Take no more deliveries."""
    webhook = turn_webhook(call.options["name"], enabled=False, **_where(call), actor=call.actor)
    _tell(call, Issued(webhook=webhook), "is disabled")


def remove(call: Call) -> None:
    """Remove a webhook."""
    remove_webhook(call.options["name"], **_where(call))
    call.printer.document({"removed": call.options["name"]})
    call.printer.line(f"The webhook {call.options['name']} is removed.")


def _where(call: Call) -> dict[str, Any]:
    return {"namespace": call.options["namespace"], "using": call.using}


def _tell(call: Call, issued: Issued, what: str) -> None:
    told = {"webhook": shapes.row(issued.webhook, SHAPE)} | ({"secret": issued.secret} if issued.secret else {})
    call.printer.document(told)
    call.printer.line(f"The webhook {issued.webhook.name} {what}.")
    if issued.secret:
        call.printer.line(f"Its secret, shown this once: {issued.secret}")
