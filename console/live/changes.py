"""What pages hear of changes: which items, and the number of each one's last event. Never what happened in them.

A page asks {"items": [id, …]} or {"list": true}, and "cursor" where it has one. It hears
{"changed": {id: seq, …}, "cursor": …, "reset": false, "more": false}. After "reset" it reads afresh what it shows;
"more" says that further items changed than are named.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from console.callers import Caller
from runtime.exceptions import InvalidInput
from runtime.queries import feed
from runtime.queries.feed import FeedEvent
from runtime.reach import NOTHING

MOST_WATCHED = 200
MOST_NAMED = 500
MOST_PAGES = 10
LONGEST_CURSOR = 10_000


Reaches = Callable[[str], bool]
"""Says whether whoever listens reaches a namespace."""


class Last(NamedTuple):
    """The number of an item's last event, and the item's namespace."""

    seq: int
    namespace: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """What a page wants to hear of: these items, or all when `items` is None; from `cursor` on, or from now."""

    items: frozenset[uuid.UUID] | None
    cursor: str | None

    def wanted(self, changes: dict[uuid.UUID, Last], reaches: Reaches) -> dict[uuid.UUID, Last]:
        """Return those of the changes that the page wants to hear of, and may."""
        return {
            item: last
            for item, last in changes.items()
            if (self.items is None or item in self.items) and reaches(last.namespace)
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Items that changed, each with its last event's number, up to `cursor`; `reset`: nobody knows which."""

    items: dict[uuid.UUID, Last]
    cursor: str
    reset: bool = False


def parse(asked: Any) -> Subscription:
    """Return the subscription that a page asks for. Raises `InvalidInput`."""
    if not isinstance(asked, dict):
        raise InvalidInput('Ask with {"items": [id, …]} or {"list": true}.', field="items")
    cursor = asked.get("cursor")
    if cursor is not None and not (isinstance(cursor, str) and len(cursor) <= LONGEST_CURSOR):
        raise InvalidInput("The cursor is none that was given out here.", field="cursor")
    if asked.get("list") is True:
        return Subscription(items=None, cursor=cursor)
    items = asked.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= MOST_WATCHED:
        raise InvalidInput(f"Name 1 to {MOST_WATCHED} items.", field="items")
    try:
        return Subscription(items=frozenset(uuid.UUID(item) for item in items), cursor=cursor)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput("An item's id is no UUID.", field="items") from None


def latest(events: Iterable[FeedEvent]) -> dict[uuid.UUID, Last]:
    """Return each item's last event."""
    found: dict[uuid.UUID, Last] = {}
    for event in events:
        known = found.get(event.item)
        if known is None or known.seq < event.seq:
            found[event.item] = Last(event.seq, event.namespace)
    return found


def read_on(cursor: str | None) -> Changes:
    """Read what changed since the cursor; without one, start now. Too much to read through is a reset."""
    if cursor is None:
        return Changes(items={}, cursor=feed.start())
    changes: dict[uuid.UUID, Last] = {}
    for _page in range(MOST_PAGES):
        page = feed.read(cursor)
        cursor = page.cursor
        changes.update(latest(page.events))
        if page.reset or not page.more:
            return Changes(items=changes, cursor=cursor, reset=page.reset)
    return Changes(items={}, cursor=feed.start(), reset=True)


def message(subscription: Subscription, changes: Changes, reaches: Reaches) -> dict[str, Any]:
    """Return what a page is told."""
    wanted = subscription.wanted(changes.items, reaches)
    named = list(wanted.items())[:MOST_NAMED]
    return {
        "changed": {str(item): last.seq for item, last in named},
        "cursor": changes.cursor,
        "reset": changes.reset,
        "more": len(wanted) > len(named),
    }


def changes_since(asked: Any, caller: Caller) -> dict[str, Any]:
    """Answer a page that asks once. Raises `InvalidInput`."""
    subscription = parse(asked)
    changes = kept_back(read_on(subscription.cursor), subscription.cursor, caller)
    return message(subscription, changes, caller.reaches)


def kept_back(changes: Changes, cursor: str | None, caller: Caller) -> Changes:
    """Return the changes at the cursor that a page has where its user reaches nothing, so that none is passed over.

    For a moment that is everybody: when the product fails to say which namespaces they reach.
    """
    if cursor and caller.namespaces == NOTHING and not changes.reset:
        return replace(changes, cursor=cursor)
    return changes
