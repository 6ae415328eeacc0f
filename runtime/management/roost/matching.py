"""Move all items that match a filter: look first with `--dry-run`, then do it, each in a transaction of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import Exists, OuterRef, Q, QuerySet

from runtime.exceptions import Conflict, InvalidInput, NotFound, RoostError
from runtime.management.roost.call import Call
from runtime.models import Snapshot, WorkItem
from runtime.operations.base import ItemOperation, locked_is_conflict
from runtime.queries import items
from runtime.queries.alike import SECONDS, alike, mark
from runtime.queries.items import HEAVY, ItemFilter

Operation = Callable[..., WorkItem]

MOST = 200_000
"""Items that a dry run looks at."""
PAGE = 500
MOST_TOLD = 50
"""Reasons that a table tells; the JSON document has all."""
FILTERS = ("engine", "namespace", "fingerprint", "because", "parent")


def choices(parser: CommandParser) -> None:
    """Declare how items are chosen other than by ids."""
    parser.add_argument("--state", dest="only_state", action="append", metavar="STATE", help="May be said repeatedly.")
    for name in FILTERS:
        told = "Why the items are in their state." if name == "because" else None
        parser.add_argument(f"--{name}", dest=f"only_{name}", metavar="ID" if name == "parent" else "TEXT", help=told)
    parser.add_argument("--all", action="store_true", help="Every item there is.")
    parser.add_argument("--dry-run", action="store_true", help="Only say how many would be moved, and why others not.")


def are_named(call: Call) -> bool:
    """Say whether items are chosen by ids. Raises `InvalidInput` unless one way is used: nothing is never all."""
    named = bool(call.options["items"])
    filtered = any(call.options[f"only_{name}"] is not None for name in ("state", *FILTERS))
    if named + call.options["all"] + filtered != 1:
        raise InvalidInput(
            "Say which items: ids, or a filter (--state, --engine, --namespace, --fingerprint, --because, --parent), "
            "or --all for every one. Just one of the three.",
            field="items",
        )
    if named and call.options["dry_run"]:
        raise InvalidInput("--dry-run counts what a filter matches. Look at single items with `roost status`.")
    return named


def move_matching(call: Call, verb: str, operation: Operation, judge: type[ItemOperation], **extra: Any) -> None:
    """Do it to all that match now, or only say what would come of it; what cannot be moved is told and no failure.

    What was done is told also where something else ends it half-way.
    """
    rows = items.matching(_wanted(call), using=call.using)
    told = {"actor": call.actor, "reason": call.options["reason"], "using": call.using, **extra}
    judge(uuid.UUID(int=0), **told)  # a wrong value is refused before anything is done
    if call.options["dry_run"]:
        _preview(call, verb, rows, lambda item: judge(item.pk, **told).would_change(item), extra)
        return
    moved, skipped = 0, _Skipped()
    try:
        for item in _ids(rows):
            try:
                with locked_is_conflict(item):
                    operation(item, **told)
                moved += 1
            except (Conflict, NotFound) as error:
                skipped.note(error, item)
    finally:
        _tell(call, {"verb": verb, "count": moved, "skipped": skipped.told()}, f"{verb}: {moved} moved")


class _Skipped:
    """What is left as it is, counted by the reason, with the newest item and what is said of it."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Any]] = {}

    def note(self, error: RoostError, item: uuid.UUID, *, count: int = 1) -> None:
        """Count items that are left as they are for the same reason: the same words but for the item's id."""
        words = str(error)
        found = self._found.setdefault(words.replace(str(item), ""), {"count": 0, "item": str(item), "why": words})
        found["count"] += count

    def told(self) -> list[dict[str, Any]]:
        """Return them as plain data, the most frequent reason first."""
        return sorted(self._found.values(), key=lambda one: -one["count"])


def _wanted(call: Call) -> ItemFilter:
    """Return the filter. Raises `InvalidInput` for a part that is empty: a variable that is not set is not all."""
    given = {name: call.options[f"only_{name}"] for name in FILTERS}
    states = tuple(call.options["only_state"] or ())
    for name, value in (*given.items(), *(("state", state) for state in states)):
        if value is not None and not value.strip():
            raise InvalidInput(f"The filter {name} is empty. Give it a value, or leave it out.", field=name)
    return ItemFilter(
        states=states,
        reason=given["because"] or "",
        engine=given["engine"] or "",
        namespace=given["namespace"] or "",
        fingerprint=given["fingerprint"] or "",
        parent=items.get(given["parent"], using=call.using).pk if given["parent"] else None,
    )


def _ids(rows: QuerySet[WorkItem]) -> Iterator[uuid.UUID]:
    """Yield the items that match, newest first; those that are enqueued meanwhile are newer, and left out."""
    ids = rows.values_list("pk", flat=True)
    page = list(ids[:PAGE])
    while page:
        yield from page
        page = list(ids.filter(pk__lt=page[-1])[:PAGE])


def _preview(
    call: Call, verb: str, rows: QuerySet[WorkItem], changes: Callable[[WorkItem], bool], extra: Mapping[str, Any]
) -> None:
    """Judge one item of each kind for all of its kind. Changes nothing."""
    found = alike(rows, most=MOST, besides=_marks(extra))
    if found is None:
        raise Conflict(f"What matches could not be counted in {SECONDS:g} s. Narrow the filter.")
    shown = WorkItem.objects.using(call.using).defer(*HEAVY).in_bulk([kind.newest for kind in found.kinds])
    would, skipped = 0, _Skipped()
    for kind in found.kinds:
        item = shown.get(kind.newest)
        try:
            if item is None:
                raise NotFound(f"Work item {kind.newest} was removed just now.")
            if not changes(item):
                raise Conflict(f"Nothing would change in work item {item.pk}.", state="unchanged")
            would += kind.count
        except (Conflict, NotFound) as error:
            skipped.note(error, kind.newest, count=kind.count)
    words = f"{verb}: {would} would be moved" + (f", of the newest {MOST} that match" if found.cut else "")
    _tell(call, {"verb": verb, "would_move": would, "skipped": skipped.told(), "more": found.cut}, words)


def _marks(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what items are told apart by, because the values that were given are compared with it."""
    marks: dict[str, Any] = {}
    if "max_steps" in extra:
        marks["kind_enough"] = mark(Q(steps_total__lt=extra["max_steps"]))
    if "priority" in extra:
        marks["kind_same"] = mark(Q(priority=extra["priority"]))
    if "from_version" in extra:
        kept = Snapshot.objects.filter(work_item_id=OuterRef("pk"), version=extra["from_version"])
        marks["kind_kept"] = Exists(kept)
    return marks


def _tell(call: Call, told: dict[str, Any], words: str) -> None:
    call.printer.document(told)
    skipped = told["skipped"]
    call.printer.line(f"{words}, {sum(one['count'] for one in skipped)} left as they are")
    if skipped:
        rows = ((one["count"], one["why"]) for one in skipped[:MOST_TOLD])
        call.printer.table(("items", "because, as of the newest of them"), rows, empty="")
