"""What became of the children that an item waits for. Shared by both stores; the item's row is locked.

A child's last transaction locks its parent's row before it reads on, and so does the commit with which the parent
begins to wait: of two last children, and of a child and its parent, the later one sees the other.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db.models import QuerySet

from runtime import offload
from runtime.choices import LIVE, State
from runtime.jsondata import dumps
from runtime.models import Wait, WorkItem

DETACHED = "detached"
"""Relation of children that live on when their parent is cancelled, and that it waits for only by name."""
TRIGGERED = "trigger"
"""Relation of items that the end of another has enqueued: who set the trigger wants them, not the engine."""

IMPORTED = "import"
"""Relation of copies of runs that came from elsewhere: their time to be kept begins when they come."""

MAX_INLINE = 64 * 1024
MAX_TOGETHER = 4 * 1024 * 1024
"""Characters of JSON that one child's result, and those of all children, may add to their parent's answer."""

MISSING = "missing"


class Terms(NamedTuple):
    """What a wait for children is about: whom it names (nobody: all), how many have to end, what a failure means."""

    children: Sequence[str]
    need: str | int
    on_failure: str

    @classmethod
    def of(cls, wait: Wait) -> Terms:
        """Read them from the wait's row."""
        data: Any = wait.data
        return cls(data["children"], data["need"], data["on_failure"])


def answer(using: str, item: WorkItem, wait: Wait) -> list[dict[str, Any]] | None:
    """Return what the wait for children comes to, None while it goes on."""
    children = of_wait(using, item, wait)
    alive = children.filter(state__in=LIVE)
    _, need, on_failure = Terms.of(wait)
    if need == "all" and on_failure == "wait" and alive.exists():
        return None  # without counting: a parent hears of each of its children
    live = alive.count()
    ended = _count(wait, children) - live
    wanted = need if isinstance(need, int) else {"any": 1, "all": ended + live}[need]
    if live and ended < wanted and not _has_failed(wait, children, ended):
        return None
    return _told(wait, children)


def of_wait(using: str, item: WorkItem, wait: Wait) -> QuerySet[WorkItem]:
    """Return the children that the wait is for: those it names, or all that the item has and that are not detached."""
    rows: QuerySet[WorkItem] = WorkItem.objects.using(using).filter(namespace=item.namespace)
    if named := Terms.of(wait).children:
        return rows.filter(pk__in=named)
    return rows.filter(parent=item.pk).exclude(relation__in=(DETACHED, TRIGGERED))


def _count(wait: Wait, children: QuerySet[WorkItem]) -> int:
    """Return how many children there are; one that is named and does not exist has ended."""
    return len(set(Terms.of(wait).children)) or children.count()


def _has_failed(wait: Wait, children: QuerySet[WorkItem], ended: int) -> bool:
    if Terms.of(wait).on_failure == "wait" or not ended:
        return False
    return children.filter(state=State.DONE).count() < ended


def _told(wait: Wait, children: QuerySet[WorkItem]) -> list[dict[str, Any]]:
    named = Terms.of(wait).children
    rows = children.exclude(state__in=LIVE).only("id", "engine", "state", "result", "last_error")
    found = {child.pk: child for child in rows.order_by("created_at", "pk")}
    live = set(children.filter(state__in=LIVE).values_list("pk", flat=True)) if named else set()
    order = [uuid.UUID(name) for name in dict.fromkeys(named)] or list(found)
    return _within_bounds([_child(pk, found.get(pk)) for pk in order if pk not in live])


def _child(pk: uuid.UUID, child: WorkItem | None) -> dict[str, Any]:
    if child is None:
        return {"id": str(pk), "engine": "", "state": MISSING, "result": None, "error": None}
    error = child.last_error if child.state == State.FAILED else None
    if isinstance(error, dict):
        error = {name: error.get(name) for name in ("type", "code", "message")}
    return {"id": str(pk), "engine": child.engine, "state": child.state, "result": child.result, "error": error}


def _within_bounds(told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out results that are too large, or too many: whoever needs them reads them from the child."""
    left = MAX_TOGETHER
    kept: list[dict[str, Any]] = []
    for child in told:
        size = len(dumps(child["result"], depth=1_000))
        # What was moved to the artifact storage is larger than the bound, and is not read under the parent's lock.
        if offload.in_value(child["result"]) is not None or size > min(MAX_INLINE, left):
            kept.append({**child, "result": None, "truncated": True})
            continue
        left -= size
        kept.append(child)
    return kept


def ended_badly(wait: Wait) -> list[dict[str, Any]]:
    """Return those children of an answered wait that failed, were cancelled, or do not exist. Pure."""
    told: Any = wait.resolution
    return [child for child in told if child["state"] != State.DONE]
