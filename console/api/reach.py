"""Find what a request names, within what its caller reaches: what is elsewhere is not there."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django.http import HttpRequest

from console.callers import caller_of
from runtime.exceptions import NotFound
from runtime.models import WorkItem
from runtime.queries import items


def item_of(request: HttpRequest, item_id: uuid.UUID) -> WorkItem:
    """Return the item. Raises `NotFound`, in the same words for an item that is not there and one out of reach."""
    return _reached(request, item_id, items.get)


def outcome_of(request: HttpRequest, item_id: uuid.UUID) -> WorkItem:
    """Return the item with what came of it alone, other columns deferred. Raises `NotFound` as `item_of` does."""
    return _reached(request, item_id, items.outcome)


def ended_of(request: HttpRequest, item_id: uuid.UUID, found: WorkItem | None) -> WorkItem:
    """Return what was read of the item by whoever read for all, else what `outcome_of` does."""
    return outcome_of(request, item_id) if found is None else _reached(request, item_id, lambda _: found)


def _reached(request: HttpRequest, item_id: uuid.UUID, read: Callable[[uuid.UUID], WorkItem]) -> WorkItem:
    missing = NotFound(f"There is no work item {item_id}.")
    try:
        found = read(item_id)
    except NotFound:
        raise missing from None
    if not caller_of(request).reaches(found.namespace):
        raise missing
    return found


def require_named(request: HttpRequest, namespace: str, what: str, name: str) -> None:
    """Raise `NotFound` for a row of a namespace out of reach, in the words for one that is not there."""
    if not caller_of(request).reaches(namespace):
        raise NotFound(f"There is no {what} {name!r} in the namespace {namespace!r}.")
