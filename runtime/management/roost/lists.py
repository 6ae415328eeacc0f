"""`roost list`, `events`, `history`, `workers`: look at many rows."""

from __future__ import annotations

from django.core.management.base import CommandParser

from runtime.choices import WorkerState
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.management.roost.looks import EVENT_HEADERS, event_cells
from runtime.management.roost.printer import pretty
from runtime.queries import items, timeline
from runtime.queries import workers as worker_queries
from runtime.queries.words import moment, span
from runtime.queries.workers import WorkerView


def register(commands: Commands) -> None:
    """Declare the commands."""
    _declare_list(commands.add("list", list_items, about="List items, newest first."))
    parser = commands.add("events", events, about="Show what happened to an item.")
    item_argument(parser)
    paging(parser, "--after", "SEQ", 0, 100)
    parser = commands.add("history", history, about="Show an item's state after each step.")
    item_argument(parser)
    paging(parser, "--after", "VERSION", -1, 20)
    parser = commands.add("workers", workers, about="List worker processes.")
    parser.add_argument("--all", action="store_true", help="Those that have stopped too.")


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
    more(call, last, "--before")


def events(call: Call) -> None:
    """Page through an item's events."""
    item = call.item()
    page = timeline.events(item.pk, after=call.options["after"], limit=call.options["limit"], using=call.using)
    last = page.rows[-1].seq if page.more else None
    call.printer.document({"events": [shapes.row(event, shapes.EVENT) for event in page.rows], "next": last})
    call.printer.table(EVENT_HEADERS, (event_cells(event) for event in page.rows), empty="No events here.")
    more(call, last, "--after")


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
    more(call, last, "--after")


def workers(call: Call) -> None:
    """List workers, with the age of their last heartbeat and what they run."""
    views = worker_queries.views(offline=call.options["all"], using=call.using)
    call.printer.document({"workers": [shapes.worker(view) for view in views]})
    rows = (
        (
            view.worker.pk,
            view.worker,
            _worker_state(view),
            f"{view.running}/{view.worker.capacity}",
            span(view.beat_age),
            ",".join(view.worker.engines) or "all",
            ",".join(view.worker.pools) or "all",
        )
        for view in views
    )
    headers = ("id", "process", "state", "running", "last beat", "engines", "pools")
    call.printer.table(headers, rows, empty="No worker: start one with `manage.py runworker`.")


def _worker_state(view: WorkerView) -> str:
    quiet = not view.alive and view.worker.state != WorkerState.OFFLINE
    return f"{view.worker.state}, silent" if quiet else view.worker.state


def more(call: Call, last: object, option: str) -> None:
    """Say how to see what follows."""
    if last is not None:
        call.printer.line(f"more: {option} {last}")
