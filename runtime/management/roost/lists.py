"""`roost list`, `events`, `history`: look at many rows."""

from __future__ import annotations

from django.core.management.base import CommandParser

from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.management.roost.looks import EVENT_HEADERS, event_cells
from runtime.management.roost.printer import pretty
from runtime.queries import items, timeline
from runtime.queries.words import moment


def register(commands: Commands) -> None:
    """Declare the commands."""
    _declare_list(commands.add("list", list_items, about="List items, newest first."))
    parser = commands.add("events", events, about="Show what happened to an item.")
    item_argument(parser)
    paging(parser, "--after", "SEQ", 0, 100)
    parser = commands.add("history", history, about="Show an item's state after each step.")
    item_argument(parser)
    paging(parser, "--after", "VERSION", -1, 20)


def paging(parser: CommandParser, option: str, metavar: str, default: int, limit: int) -> None:
    """Declare the options that page through a list."""
    parser.add_argument(option, type=int, default=default, metavar=metavar, help="Page on from here.")
    parser.add_argument("--limit", type=int, default=limit, metavar="N", help=f"At most N rows (default {limit}).")


def _declare_list(parser: CommandParser) -> None:
    parser.add_argument("--state", action="append", default=[], metavar="STATE", help="May be given several times.")
    for option in ("reason", "engine", "namespace", "fingerprint"):
        parser.add_argument(f"--{option}", default="")
    parser.add_argument("--parent", metavar="ID", help="Only this item's children.")
    parser.add_argument("--before", metavar="ID", help="Page on from the last id of the page before.")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="At most N rows (default 50).")


def list_items(call: Call) -> None:
    """List items by filter."""
    given = call.options
    parent = items.get(given["parent"], using=call.using).pk if given["parent"] else None
    before = items.get(given["before"], using=call.using).pk if given["before"] else None
    wanted = items.ItemFilter(
        states=tuple(given["state"]),
        reason=given["reason"],
        engine=given["engine"],
        namespace=given["namespace"],
        fingerprint=given["fingerprint"],
        parent=parent,
    )
    page = items.page(wanted, before=before, limit=given["limit"], using=call.using)
    last = str(page.rows[-1].pk) if page.more else None
    call.printer.document({"items": [shapes.row(item, shapes.HEAD) for item in page.rows], "next": last})
    rows = (
        (
            item.pk,
            item.state,
            item.reason,
            item.engine,
            item.version,
            item.step_label,
            item.priority,
            moment(item.run_at),
        )
        for item in page.rows
    )
    headers = ("id", "state", "reason", "engine", "version", "step", "priority", "due")
    call.printer.table(headers, rows, empty="No item matches.")
    call.printer.more("--before", last)


def events(call: Call) -> None:
    """Page through an item's events."""
    item = call.item()
    page = timeline.events(item.pk, after=call.options["after"], limit=call.options["limit"], using=call.using)
    last = page.rows[-1].seq if page.more else None
    call.printer.document({"events": [shapes.row(event, shapes.EVENT) for event in page.rows], "next": last})
    call.printer.table(EVENT_HEADERS, (event_cells(event) for event in page.rows), empty="No events here.")
    call.printer.more("--after", last)


def history(call: Call) -> None:
    """Page through an item's snapshots."""
    item = call.item()
    page = timeline.history(item.pk, after=call.options["after"], limit=call.options["limit"], using=call.using)
    last = page.rows[-1].version if page.more else None
    call.printer.document({"snapshots": [shapes.row(one, shapes.SNAPSHOT) for one in page.rows], "next": last})
    for one in page.rows:
        restored = "" if one.restored_from is None else f", restored from {one.restored_from}"
        call.printer.line(f"version {one.version}  {moment(one.created_at)}  {one.label}{restored}")
        call.printer.line(pretty(one.data))
    if not page.rows:
        call.printer.line("No snapshots here.")
    call.printer.more("--after", last)
