"""`roost prune`: remove what has been kept long enough."""

from __future__ import annotations

from dataclasses import asdict, replace

from runtime.exceptions import InvalidInput
from runtime.management.roost.call import Call, Commands
from runtime.models import Resource
from runtime.operations.prune import Pruned, prune, prune_resources
from runtime.operations.prune_history import prune_history
from runtime.operations.prune_signals import prune_signals
from runtime.queries import growth

FILTERS = ("namespace", "engine", "older_than", "limit")


def register(commands: Commands) -> None:
    """Declare the commands."""
    parser = commands.add("prune", prune_, about="Remove ended items that have been kept long enough.")
    parser.add_argument("--dry-run", action="store_true", help="Only say what would be removed.")
    parser.add_argument("--namespace", metavar="NAME", help="Only items of this namespace.")
    parser.add_argument("--engine", metavar="NAME", help="Only items of this engine.")
    parser.add_argument(
        "--older-than", type=float, metavar="DAYS", help="Ended so many days ago, instead of ROOST_RETENTION_DAYS."
    )
    parser.add_argument("--limit", type=int, metavar="N", help="At most N items.")
    parser.add_argument("--forecast", action="store_true", help="Only say how large the tables are, and will be.")
    parser.add_argument(
        "--history",
        action="store_true",
        help="Old events and snapshots of items that stay, and signals nobody took, too.",
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="Why; kept in the log.")


def prune_(call: Call) -> None:
    """Prune in batches; what Ctrl-C interrupts is removed up to there."""
    options = call.options
    if options["forecast"]:
        _forecast(call)
        return
    whole = not (options["dry_run"] or any(options[name] is not None for name in FILTERS))
    if options["history"] and not whole:
        raise InvalidInput("--history concerns all items: leave filters and --dry-run out.", field="history")
    done = prune(
        namespace=options["namespace"],
        engine=options["engine"],
        older_than=options["older_than"],
        limit=options["limit"],
        dry_run=options["dry_run"],
        actor=call.actor,
        reason=options["reason"],
        using=call.using,
    )
    if whole and (resources := prune_resources(using=call.using)):
        done = replace(done, rows={**done.rows, Resource._meta.label: resources})
    _tell(call, done, dry_run=options["dry_run"], history=_history(call))


def _forecast(call: Call) -> None:
    """Tell sizes, pace, and what pruning would free; whatever else was asked for is left alone."""
    found = growth.forecast(using=call.using)
    call.printer.document(asdict(found))
    rows = (
        (
            *(one.table, one.rows, growth.size(one.bytes)),
            *("-" if one.rows_a_day is None else round(one.rows_a_day), growth.size(one.bytes_a_day)),
            *(one.free_rows, growth.size(one.free_bytes), growth.size(one.settles_at)),
        )
        for one in found.tables
    )
    call.printer.table(
        ("table", "rows", "size", "rows/day", "size/day", "may go", "frees", "settles at"), rows, empty=""
    )
    call.printer.line(growth.summary(found))


def _history(call: Call) -> dict[str, int] | None:
    if not call.options["history"]:
        return None
    done, signals = prune_history(using=call.using), prune_signals(using=call.using)
    return {"items": done.items, "events": done.events, "snapshots": done.snapshots, "signals": signals.signals}


def _tell(call: Call, done: Pruned, *, dry_run: bool, history: dict[str, int] | None) -> None:
    told = {"dry_run": dry_run, "items": done.items, "kept": done.kept, "more": done.more}
    cut = {} if history is None else {"history": history}
    shown = [str(one) for one in done.shown]
    call.printer.document(told | cut | ({"would_go": shown} if dry_run else {"rows": dict(done.rows)}))
    if not (done.items or done.rows):
        call.printer.line("There is nothing to remove.")
    elif dry_run:
        call.printer.line(f"{done.items}{' or more' if done.more else ''} items would be removed.")
    else:
        call.printer.facts([("items", done.items), *sorted(done.rows.items())])
    if history is not None:
        call.printer.facts((f"history {name}", count) for name, count in history.items())
    if done.kept:
        call.printer.line(
            f"{done.kept} items were passed over: somebody is at them, waits for them, or refers to them."
        )
