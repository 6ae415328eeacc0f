"""`roost journal`: list the calls that an item recorded, and have one forgotten."""

from __future__ import annotations

from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.models import JournalEntry
from runtime.operations.reset_call import reset_call
from runtime.queries import journal
from runtime.queries.journal import RecordedCall
from runtime.queries.words import moment

SHAPE = shapes.columns(JournalEntry, "work_item_id")


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("journal", about="The calls that an item's steps recorded.")
    parser = group.add("list", list_calls, about="List an item's recorded calls, oldest first.")
    item_argument(parser)
    parser.add_argument("--state", default="", help="Only those: started, retry, succeeded or failed.")
    parser.add_argument("--after", type=int, default=0, metavar="ROW", help="Page on from here.")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="At most N rows (default 50).")
    parser = group.add("reset", reset, about="Forget a call that failed or is in doubt; the next step makes it again.")
    item_argument(parser)
    parser.add_argument("key", metavar="KEY", help="The call's key.")
    parser.add_argument("--reason", default="", help="Kept in the item's history.")


def list_calls(call: Call) -> None:
    """List recorded calls."""
    given = call.options
    page = journal.page(call.item(), after=given["after"], limit=given["limit"], state=given["state"], using=call.using)
    last = page.rows[-1].entry.pk if page.more else None
    document = [{**shapes.row(one.entry, SHAPE), "in_doubt": one.in_doubt} for one in page.rows]
    call.printer.document({"calls": document, "next": last})
    headers = ("from version", "key", "what", "state", "calls", "began", "ended", "error")
    call.printer.table(headers, map(_cells, page.rows), empty="No recorded call here.")
    call.printer.more("--after", last)


def _cells(one: RecordedCall) -> tuple[object, ...]:
    entry = one.entry
    error = entry.error.get("message", "") if isinstance(entry.error, dict) else ""
    base = "whole run" if entry.base_version < 0 else entry.base_version
    state = "in doubt" if one.in_doubt else entry.state
    return base, entry.key, entry.name, state, entry.attempts, moment(entry.started_at), moment(entry.ended_at), error


def reset(call: Call) -> None:
    """Have a call forgotten."""
    key = call.options["key"]
    item = reset_call(call.item().pk, key, actor=call.actor, reason=call.options["reason"], using=call.using)
    call.printer.document({"id": str(item.pk), "state": item.state, "reset": key})
    call.printer.line(f"The call {key} of {item.pk} is forgotten. The item is {item.state}.")
