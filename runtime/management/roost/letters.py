"""`roost dead`: list, group, redrive and acknowledge dead letters, and make one in development."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from runtime.exceptions import Conflict, InvalidInput
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands
from runtime.management.roost.moves import Operation, each
from runtime.operations.acknowledge import acknowledge
from runtime.operations.force_failure import force_failure
from runtime.operations.redrive import redrive
from runtime.queries import dead, items
from runtime.queries.words import moment

FILTERS = ("namespace", "engine", "reason", "fingerprint", "category")
SHAPE = [*shapes.HEAD, "last_error", "fingerprint", "acknowledged_at", "acknowledged_by"]


def register(commands: Commands) -> None:
    """Declare the commands."""
    group = commands.group("dead", about="Look at and treat dead letters: items that failed for good.")
    parser = group.add("list", list_letters, about="List dead letters, newest first.")
    _filters(parser)
    parser.add_argument("--groups", action="store_true", help="Group them by what went wrong.")
    parser.add_argument("--acknowledged", action="store_true", help="Those that were acknowledged too.")
    parser.add_argument("--before", metavar="ID", help="Page on from the last id of the page before.")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="At most N rows (default 50).")
    _treatment(group, "redrive", redrive, "Bring dead letters back to the queue with their snapshots.")
    _treatment(group, "ack", acknowledge, "Acknowledge dead letters: they stay as they are, out of sight.")
    parser = group.add("force", force, about="Make items dead letters, to see what follows; in development only.")
    parser.add_argument("items", nargs="+", metavar="ID", help="Ids of work items, or their first digits.")
    parser.add_argument("--reason", required=True, help="The error's message.")
    parser.add_argument("--code", default="", help="The error's code (forced).")


def _filters(parser: CommandParser) -> None:
    for name in FILTERS:
        # "reason" is also why the operator acts.
        parser.add_argument(
            f"--{name}" if name != "reason" else "--failed-because", dest=f"only_{name}", metavar="TEXT"
        )


def _treatment(group: Commands, verb: str, operation: Operation, about: str) -> None:
    def run(call: Call) -> None:
        named = list(_ids(call))
        if not named:
            call.printer.document({"verb": verb, "moved": [], "refused": []})
            call.printer.line("No dead letter matches.")
            return
        each(call, verb, operation, named)

    parser = group.add(verb, run, about=about)
    parser.add_argument("items", nargs="*", metavar="ID", help="Ids of dead letters, or their first digits.")
    _filters(parser)
    parser.add_argument("--all", action="store_true", help="Every dead letter that no one acknowledged.")
    parser.add_argument("--reason", default="", required=verb == "ack", help="Kept in the items' history.")


def force(call: Call) -> None:
    """Make items dead letters. Raises `Conflict` where the settings do not say that this is development."""
    if not settings.DEBUG:
        raise Conflict("This is for development, and DEBUG is off here. `roost cancel` ends an item.")
    each(call, "force", force_failure, call.options["items"], code=call.options["code"])


def list_letters(call: Call) -> None:
    """List dead letters, or groups of them."""
    wanted = _wanted(call, acknowledged=None if call.options["acknowledged"] else False)
    if call.options["groups"]:
        _list_groups(call, wanted)
        return
    before = items.get(call.options["before"], using=call.using).pk if call.options["before"] else None
    page = dead.page(wanted, before=before, limit=call.options["limit"], using=call.using)
    last = str(page.rows[-1].pk) if page.more else None
    found = dead.letters(page.rows, using=call.using)
    call.printer.document({"items": [_document(one) for one in found], "next": last})
    rows = (
        (
            *(one.item.pk, one.item.engine, one.item.reason, one.code, one.item.fingerprint),
            *(moment(one.item.finished_at), one.worker_name, one.message),
        )
        for one in found
    )
    headers = ("id", "engine", "reason", "code", "fingerprint", "failed at", "worker", "error")
    call.printer.table(headers, rows, empty="No dead letter.")
    call.printer.more("--before", last)


def _document(letter: dead.DeadLetter) -> shapes.Plain:
    worker = {"worker": shapes.plain(letter.worker), "worker_name": letter.worker_name}
    return {**shapes.row(letter.item, SHAPE), "code": letter.code, "message": letter.message, **worker}


def _list_groups(call: Call, wanted: dead.DeadFilter) -> None:
    page = dead.groups(wanted, limit=call.options["limit"], using=call.using)
    call.printer.document({"groups": shapes.plain(page.rows), "more": page.more})
    rows = ((one.count, one.engine, one.reason, one.fingerprint, moment(one.last), one.message) for one in page.rows)
    headers = ("letters", "engine", "reason", "fingerprint", "last failed at", "error")
    call.printer.table(headers, rows, empty="No dead letter.")


def _ids(call: Call) -> Iterator[uuid.UUID | str]:
    """Yield what to treat. Raises `InvalidInput` unless exactly one way of choosing is used: nothing is never all."""
    named, everything = call.options["items"], call.options["all"]
    wanted = _wanted(call, acknowledged=False)
    filtered = wanted != dead.DeadFilter(acknowledged=False)
    if bool(named) + everything + filtered != 1:
        raise InvalidInput(
            "Say which dead letters: ids, or a filter (--engine, --namespace, --fingerprint, --category, "
            "--failed-because), or --all for every one. Just one of the three.",
            field="items",
        )
    if named:
        yield from named
        return
    before: uuid.UUID | None = None
    while True:
        page = dead.page(wanted, before=before, limit=500, using=call.using)
        yield from (item.pk for item in page.rows)
        if not page.more:
            return
        before = page.rows[-1].pk


def _wanted(call: Call, *, acknowledged: bool | None) -> dead.DeadFilter:
    given = {name: call.options[f"only_{name}"] for name in FILTERS}
    for name, value in given.items():
        if value is not None and not value.strip():
            raise InvalidInput(f"The filter {name} is empty. Give it a value, or leave it out.", field=name)
    told: dict[str, Any] = {name: value or "" for name, value in given.items()}
    return dead.DeadFilter(acknowledged=acknowledged, **told)
