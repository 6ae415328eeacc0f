"""`roost waits`, `approvals`, `approve`, `reject`, `respond`, `signal`: what items ask for, and what they are told."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import CommandParser

from runtime.choices import WaitKind, WaitState
from runtime.exceptions import InvalidInput
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.management.roost.inputs import as_json
from runtime.models import WorkItem
from runtime.operations.approve import approve
from runtime.operations.reject import reject
from runtime.operations.respond import respond
from runtime.operations.signal import send_signal
from runtime.queries import items, waits
from runtime.queries.words import moment


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("waits", about="What items ask for.")
    parser = group.add("list", list_waits, about="List what is asked for and not answered, newest first.")
    parser.add_argument("item", nargs="?", metavar="ID", help="Only this work item's.")
    parser.add_argument("--kind", action="append", default=[], choices=WaitKind.values, help="May be given repeatedly.")
    parser.add_argument("--all", action="store_true", help="Those that are answered or over too.")
    _list_options(parser)
    group = commands.group("approvals", about="What people are asked for.")
    parser = group.add("list", list_approvals, about="List open approvals and inputs, newest first.")
    _list_options(parser)
    _declare(commands, "approve", approve, "Say yes to what an item wants approved.")
    _declare(commands, "reject", reject, "Say no to it; --reason is told to its step.")
    parser = _declare(commands, "respond", respond, "Give an item the input that it waits for.")
    parser.add_argument("--value", required=True, metavar="JSON", help="The answer.")
    _declare_signal(commands.add("signal", signal, about="Send a signal to an item, or to whoever waits for its name."))


def _list_options(parser: CommandParser) -> None:
    parser.add_argument("--namespace", default="")
    parser.add_argument("--before", metavar="ID", help="Page on from the last id of the page before.")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="At most N rows (default 50).")


def _declare(commands: Commands, verb: str, operation: Callable[..., WorkItem], about: str) -> CommandParser:
    def run(call: Call) -> None:
        given = call.options
        more = {"value": as_json(given["value"], "value")} if "value" in given else {}
        item = call.item()
        done = operation(item.pk, given["key"], actor=call.actor, reason=given["reason"], using=call.using, **more)
        call.printer.document({"verb": verb, "id": str(done.pk), "state": done.state, "reason": done.reason})
        call.printer.line(f"{done.pk}  {done.state}" + (f" ({done.reason})" if done.reason else ""))

    parser = commands.add(verb, run, about=about)
    item_argument(parser)
    parser.add_argument("key", nargs="?", metavar="KEY", help="Which one, where several are open.")
    parser.add_argument("--reason", default="", help="Kept in the item's history.")
    return parser


def _declare_signal(parser: CommandParser) -> None:
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--item", metavar="ID", help="Only for this work item.")
    parser.add_argument("--namespace", help="For whoever waits for the name there.")
    parser.add_argument("--payload", default="null", metavar="JSON")
    parser.add_argument("--delivery-id", metavar="ID", help="A second signal with the same one is the first.")


def signal(call: Call) -> None:
    """Send a signal."""
    given = call.options
    sent = send_signal(
        given["name"],
        as_json(given["payload"], "payload"),
        item=items.get(given["item"], using=call.using).pk if given["item"] else None,
        namespace=given["namespace"],
        delivery_id=given["delivery_id"],
        actor=call.actor,
        using=call.using,
    )
    call.printer.document({"id": str(sent)})
    call.printer.line(str(sent))


def list_waits(call: Call) -> None:
    """List waits of one item or of all."""
    given = call.options
    item = call.item().pk if given["item"] else None
    _list(call, given["kind"], () if given["all"] else (WaitState.OPEN,), item=item)


def list_approvals(call: Call) -> None:
    """List what people are asked for."""
    _list(call, [kind.value for kind in waits.FOR_PEOPLE], (WaitState.OPEN,))


def _wait(text: str | None) -> uuid.UUID | None:
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no wait's id (a UUID): page on from the last row of a list.", field="before"
        ) from None


def _list(call: Call, kinds: Sequence[str], states: Sequence[str], **more: Any) -> None:
    given = call.options
    page = waits.page(
        kinds=kinds,
        states=states,
        namespace=given["namespace"],
        before=_wait(given["before"]),
        limit=given["limit"],
        using=call.using,
        **more,
    )
    last = str(page.rows[-1].pk) if page.more else None
    call.printer.document({"waits": [shapes.row(wait, shapes.WAIT) for wait in page.rows], "next": last})
    rows = (
        (
            wait.work_item_id,
            wait.kind,
            wait.key,
            wait.state,
            f"{len(wait.answers)}/{wait.quorum}" if wait.kind == WaitKind.APPROVAL else "",
            moment(wait.created_at),
            moment(wait.expires_at),
            wait.prompt,
        )
        for wait in page.rows
    )
    headers = ("item", "kind", "key", "state", "votes", "since", "until", "question")
    call.printer.table(headers, rows, empty="Nothing is asked for.")
    call.printer.more("--before", last)
