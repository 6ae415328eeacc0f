"""`roost prune`: remove what has been kept long enough."""

from __future__ import annotations

from runtime.management.roost.call import Call, Commands
from runtime.operations.prune import Pruned, prune


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
    parser.add_argument("--reason", default="", metavar="TEXT", help="Why; kept in the log.")


def prune_(call: Call) -> None:
    """Prune in batches; what Ctrl-C interrupts is removed up to there."""
    options = call.options
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
    _tell(call, done, dry_run=options["dry_run"])


def _tell(call: Call, done: Pruned, *, dry_run: bool) -> None:
    told = {"dry_run": dry_run, "items": done.items, "kept": done.kept, "more": done.more}
    shown = [str(one) for one in done.shown]
    call.printer.document(told | ({"would_go": shown} if dry_run else {"rows": dict(done.rows)}))
    if not done.items:
        call.printer.line("There is nothing to remove.")
    elif dry_run:
        call.printer.line(f"{done.items}{' or more' if done.more else ''} items would be removed.")
    else:
        call.printer.facts([("items", done.items), *sorted(done.rows.items())])
    if done.kept:
        call.printer.line(
            f"{done.kept} items were passed over: somebody is at them, waits for them, or refers to them."
        )
