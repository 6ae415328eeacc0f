"""What pages hear of changes: which items, and the number of each one's last event. Never what happened in them.

A page asks {"items": [id, …]} or {"list": true}, and "cursor" where it has one. It hears
{"changed": {id: seq, …}, "cursor": …, "reset": false, "more": false}. After "reset" it reads afresh what it shows;
"more" says that further items changed than are named.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runtime.exceptions import InvalidInput
from runtime.queries import feed
from runtime.queries.feed import FeedEvent

MOST_WATCHED = 200
MOST_NAMED = 500
MOST_PAGES = 10
LONGEST_CURSOR = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """What a page wants to hear of: these items, or all when `items` is None; from `cursor` on, or from now."""

    items: frozenset[uuid.UUID] | None
    cursor: str | None

    def wanted(self, changes: dict[uuid.UUID, int]) -> dict[uuid.UUID, int]:
        """Return those of the changes that the page wants to hear of."""
        if self.items is None:
            return changes
        return {item: seq for item, seq in changes.items() if item in self.items}


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Items that changed, each with its last event's number, up to `cursor`; `reset`: nobody knows which."""

    items: dict[uuid.UUID, int]
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


def latest(events: Iterable[FeedEvent]) -> dict[uuid.UUID, int]:
    """Return each item's last event number."""
    found: dict[uuid.UUID, int] = {}
    for event in events:
        found[event.item] = max(event.seq, found.get(event.item, 0))
    return found


def read_on(cursor: str | None) -> Changes:
    """Read what changed since the cursor; without one, start now. Too much to read through is a reset."""
    if cursor is None:
        return Changes(items={}, cursor=feed.start())
    changes: dict[uuid.UUID, int] = {}
    for _page in range(MOST_PAGES):
        page = feed.read(cursor)
        cursor = page.cursor
        changes.update(latest(page.events))
        if page.reset or not page.more:
            return Changes(items=changes, cursor=cursor, reset=page.reset)
    return Changes(items={}, cursor=feed.start(), reset=True)


def message(subscription: Subscription, changes: Changes) -> dict[str, Any]:
    """Return what a page is told."""
    wanted = subscription.wanted(changes.items)
    named = list(wanted.items())[:MOST_NAMED]
    return {
        "changed": {str(item): seq for item, seq in named},
        "cursor": changes.cursor,
        "reset": changes.reset,
        "more": len(wanted) > len(named),
    }


def changes_since(asked: Any) -> dict[str, Any]:
    """Answer a page that asks once. Raises `InvalidInput`."""
    subscription = parse(asked)
    return message(subscription, read_on(subscription.cursor))
