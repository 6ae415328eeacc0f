"""`roost attempts`, `explain`: what happened to an item, in order."""

from __future__ import annotations

from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.queries.attempts import attempts as find_attempts
from runtime.queries.explain import ToldStep
from runtime.queries.explain import explain as tell
from runtime.queries.telling import sentences
from runtime.queries.words import moment, span, spent


def register(commands: Commands) -> None:
    """Declare the commands."""
    for name, run, about, limit in (
        ("attempts", attempts, "Show every try of every step, and what it came to.", 100),
        ("explain", explain, "Tell a run from its beginning, step by step.", 50),
    ):
        parser = commands.add(name, run, about=about)
        item_argument(parser)
        parser.add_argument("--after", type=int, default=0, metavar="SEQ", help="Page on from here.")
        parser.add_argument("--limit", type=int, default=limit, metavar="N", help=f"At most N (default {limit}).")


def attempts(call: Call) -> None:
    """Page through an item's attempts."""
    item = call.item()
    page = find_attempts(item.pk, after=call.options["after"], limit=call.options["limit"], using=call.using)
    last = page.rows[-1].seq if page.more else None
    call.printer.document({"attempts": shapes.plain(page.rows), "next": last})
    rows = (
        (
            one.step,
            one.number,
            one.outcome,
            moment(one.ended_at),
            "" if one.duration is None else span(one.duration),
            spent(one.tokens, one.cost),
            one.worker_name or one.worker,
            (one.error or {}).get("category"),
            (one.error or {}).get("message"),
        )
        for one in page.rows
    )
    headers = ("step", "attempt", "outcome", "ended", "took", "used", "worker", "category", "error")
    call.printer.table(headers, rows, empty="No attempt has ended.")
    call.printer.more("--after", last)


def explain(call: Call) -> None:
    """Tell the run, one page of steps at a time."""
    item = call.item()
    run = tell(item, after=call.options["after"], limit=call.options["limit"], using=call.using)
    lines = list(sentences(run))
    call.printer.document(
        {
            "item": shapes.row(item, [*shapes.HEAD, "payload", "result", "last_error"]),
            "enqueued_by": run.enqueued_by,
            "enqueued_because": run.enqueued_because,
            "steps": [_step(step) for step in run.steps],
            "whole_run_calls": shapes.plain(run.whole_run_calls),
            "children": run.children,
            "now": run.now,
            "text": [line for _depth, line in lines],
            "next": run.next,
        }
    )
    for depth, line in lines:
        call.printer.line(f"{'  ' * depth}{line}")
    call.printer.more("--after", run.next)


def _step(step: ToldStep) -> shapes.Plain:
    """Return a step as one object: its chapter's fields among its own."""
    found = shapes.plain(step)
    return {**found.pop("chapter"), "attempts": step.chapter.attempts, **found}
