"""`roost signals`: look at the signals that nobody has taken."""

from __future__ import annotations

import json
import uuid

from runtime.exceptions import InvalidInput
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.models import Signal
from runtime.queries import items, signals
from runtime.queries.words import moment

MOST_SHOWN = 60


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("signals", about="Signals that were sent.")
    parser = group.add("list", list_signals, about="List signals that nobody has taken, newest first.")
    parser.add_argument("--namespace", default="")
    parser.add_argument("--name", default="", help="Only those of this name.")
    parser.add_argument("--item", metavar="ID", help="Only those that were sent to this work item.")
    parser.add_argument("--all", action="store_true", help="Those that were taken too.")
    parser.add_argument("--before", metavar="ID", help="Page on from the last id of the page before.")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="At most N rows (default 50).")


def list_signals(call: Call) -> None:
    """List signals by filter."""
    given = call.options
    page = signals.page(
        name=given["name"],
        item=items.get(given["item"], using=call.using).pk if given["item"] else None,
        taken=given["all"],
        within=(given["namespace"],) if given["namespace"] else None,
        before=_id(given["before"]),
        limit=given["limit"],
        using=call.using,
    )
    last = str(page.rows[-1].pk) if page.more else None
    call.printer.document({"signals": [shapes.row(one, shapes.SIGNAL) for one in page.rows], "next": last})
    headers = ("id", "namespace", "name", "item", "by", "sent at", "taken", "payload")
    call.printer.table(headers, map(_cells, page.rows), empty="No signal is left.")
    call.printer.more("--before", last)


def _cells(signal: Signal) -> tuple[object, ...]:
    taken = signal.taken_by_id is not None or signal.consumed_version is not None
    text = json.dumps(signal.payload, ensure_ascii=False)
    shown = text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"
    named = (signal.pk, signal.namespace, signal.name, signal.target_id or "", signal.actor)
    return (*named, moment(signal.created_at), "yes" if taken else "", shown)


def _id(text: str | None) -> uuid.UUID | None:
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no signal's id (a UUID): page on from the last row of a list.", field="before"
        ) from None
