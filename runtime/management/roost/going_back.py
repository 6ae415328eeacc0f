"""`roost fork`, `diff`: go on from where an item has been, and see how states and runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.management.roost import shapes
from runtime.management.roost.call import Call, Commands, item_argument
from runtime.management.roost.inputs import json_option
from runtime.operations.fork import fork as fork_item
from runtime.queries import diff as diffs
from runtime.queries import items
from runtime.queries.diff import RunDiff, Side, SnapshotDiff, VersionDiff
from runtime.queries.jsondiff import Change, Difference
from runtime.queries.words import span


def register(commands: Commands) -> None:
    """Declare the commands."""
    parser = commands.add("fork", fork, about="Enqueue an item that goes on from an item's snapshot; print its id.")
    item_argument(parser)
    parser.add_argument("--from-version", type=int, metavar="K", help="Go on from snapshot K (default: the latest).")
    parser.add_argument("--state", metavar="JSON|@FILE|-", help="Another state: JSON, @ and a file's name, or - .")
    parser.add_argument("--payload", metavar="JSON|@FILE|-", help="Another payload.")
    parser.add_argument("--engine-version", metavar="VERSION", help="Another version of the engine's code.")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="Not due before.")
    parser.add_argument("--idempotency-key", metavar="KEY", help="The same key gives the same fork.")
    parser.add_argument("--reason", default="", help="Kept in the history of both items.")
    parser = commands.add("diff", diff, about="Show how two snapshots, or two runs, differ.")
    item_argument(parser)
    parser.add_argument("rest", nargs="*", metavar="A B | OTHER", help="Two versions, or another item's id.")
    parser.add_argument("--versions", metavar="A:B", help="With OTHER: this item's snapshot A against the other's B.")
    parser.add_argument("--after", type=int, default=-1, metavar="VERSION", help="With OTHER: page on from here.")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="At most N versions, or differences.")


def fork(call: Call) -> None:
    """Fork the item."""
    given = call.options
    changed: dict[str, Any] = {}
    if given["state"] is not None:
        changed["state"] = json_option(given["state"], "state", roost.MAX_STATE_BYTES)
    if given["payload"] is not None:
        changed["payload"] = json_option(given["payload"], "payload", roost.MAX_PAYLOAD_BYTES)
    made = fork_item(
        call.item().pk,
        version=given["from_version"],
        engine_version=given["engine_version"],
        idempotency_key=given["idempotency_key"],
        delay=given["delay"],
        reason=given["reason"],
        actor=call.actor,
        using=call.using,
        **changed,
    )
    origin = {"forked_from": str(made.forked_from_id), "forked_version": made.forked_version}
    call.printer.document({"id": str(made.pk), "state": made.state, **origin})
    call.printer.line(str(made.pk))


def diff(call: Call) -> None:
    """Compare the last two snapshots, two that are named, those of two items, or two runs."""
    item, rest = call.item(), call.options["rest"]
    if len(rest) == 1:
        other = items.get(rest[0], using=call.using)
        if call.options["versions"] is None:
            after, limit = call.options["after"], call.options["limit"]
            _two_runs(call, diffs.runs(item, other, after=after, limit=limit, using=call.using))
            return
        before, after = _pair(call.options["versions"].split(":"))
        found = diffs.snapshots(item.pk, before, after, other=other.pk, most=call.options["limit"], using=call.using)
    else:
        before, after = _pair(rest or [str(item.version - 1), str(item.version)])
        found = diffs.snapshots(item.pk, before, after, most=call.options["limit"], using=call.using)
    _two_snapshots(call, found)


def _pair(texts: list[str]) -> tuple[int, int]:
    try:
        before, after = (int(text) for text in texts)
    except ValueError:
        raise InvalidInput(f"{' '.join(texts)!r} are not two versions, such as 3 4.", field="versions") from None
    return before, after


def _two_snapshots(call: Call, found: SnapshotDiff) -> None:
    ends = {name: shapes.row(end, END) for name, end in (("before", found.before), ("after", found.after))}
    call.printer.document({**ends, **shapes.plain(found.difference)})
    if found.difference.same:
        call.printer.line("The states are the same.")
    _changes(call, found.difference)


def _changes(call: Call, difference: Difference, indent: str = "") -> None:
    for change in difference.changes:
        call.printer.line(indent + _words(change))
    if difference.more:
        call.printer.line(f"{indent}… and more: give a higher --limit, or use --format json.")


MARKS = {"added": "+", "removed": "-", "changed": "~"}
END = ["work_item_id", "version", "label"]


def _words(change: Change) -> str:
    sides = {"added": [change.after], "removed": [change.before]}.get(change.kind, [change.before, change.after])
    return f"{MARKS[change.kind]} {change.path or '(all)'}  {' -> '.join(map(_short, sides))}"


def _short(value: Any, most: int = 200) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _two_runs(call: Call, found: RunDiff) -> None:
    call.printer.document(
        {
            "left": str(found.left.pk),
            "right": str(found.right.pk),
            "shift": found.shift,
            "diverged": found.diverged,
            "more": found.next is not None,
            "next": found.next,
            "versions": [{**shapes.plain(one), "same": one.same} for one in found.versions],
        }
    )
    for one in found.versions:
        call.printer.line("  ".join(_row(one)))
        if one.difference is not None:
            _changes(call, one.difference, indent="    ")
    if found.diverged is None:
        call.printer.line("The runs are the same" + ("." if found.next is None else " so far."))
    else:
        call.printer.line(f"They differ from version {found.diverged} on.")
    call.printer.more("--after", found.next)


def _row(one: VersionDiff) -> Iterable[str]:
    yield "=" if one.same else "≠"
    yield from (_side(side) for side in (one.left, one.right))


def _side(side: Side | None) -> str:
    if side is None:
        return "-"
    facts = [str(side.version), side.label]
    facts += [] if side.duration is None else [span(side.duration)]
    facts += [f"{side.retries} retries"] if side.retries else []
    return " ".join(filter(None, facts))
