"""Find what a request names, within what its caller reaches: what is elsewhere is not there."""

from __future__ import annotations

import uuid

from django.http import HttpRequest

from console.api.callers import caller_of
from runtime.exceptions import NotFound
from runtime.models import WorkItem
from runtime.queries import items


def item_of(request: HttpRequest, item_id: uuid.UUID) -> WorkItem:
    """Return the item. Raises `NotFound`, in the same words for an item that is not there and one out of reach."""
    missing = NotFound(f"There is no work item {item_id}.")
    try:
        found = items.get(item_id)
    except NotFound:
        raise missing from None
    if not caller_of(request).reaches(found.namespace):
        raise missing
    return found


def require_named(request: HttpRequest, namespace: str, what: str, name: str) -> None:
    """Raise `NotFound` for a row of a namespace out of reach, in the words for one that is not there."""
    if not caller_of(request).reaches(namespace):
        raise NotFound(f"There is no {what} {name!r} in the namespace {namespace!r}.")
