"""Enqueue, in the transaction that moves items, what follows from where they have come to. Shared by both stores.

The store knows nothing of engines and their payloads: whoever reads the rules and builds the items (triggers,
`operations.triggering`; webhook targets, `operations.notifying`) is connected when Django starts. Whoever moves items
calls `follow` with those that came to one of FOLLOWED, while their rows are locked and after they are written. Where
nobody follows, `active` is all that it costs.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime import clock
from runtime.choices import State
from runtime.models import WorkItem
from runtime.store.history import next_event, write_events
from runtime.store.values import NewItem

ENDED: frozenset[str] = frozenset({State.DONE, State.FAILED})
"""The states of an end that steps come to by themselves."""

FOLLOWED: frozenset[str] = frozenset({*ENDED, State.CANCELLED, State.WAITING})
"""The states that something may follow from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Triggered:
    """What follows from the state of an item: another item, or an error that says why it cannot.

    The event that tells of it in the item's history is of the first of `kinds`, or of the second if there is an error;
    its reason is `by`, the name of the rule, and its data are `data` beside the error.
    """

    item: uuid.UUID
    by: str
    kinds: tuple[str, str]
    child: NewItem | None = None
    error: str = ""
    data: Mapping[str, Any]

    def event(self, item: WorkItem, now: Any) -> Any:
        """Return the event, unsaved, and count it on the item."""
        told, untold = self.kinds
        if self.child is None:
            return next_event(item, untold, now, reason=self.by, data={**self.data, "error": self.error})
        return next_event(item, told, now, reason=self.by, data=dict(self.data))


class Followers(Protocol):
    """Where rules are known. `STATES` are those that they follow."""

    STATES: frozenset[str]

    def active(self, using: str) -> bool:
        """Say whether there are any rules. Cheap; may be a second old."""

    def fire(self, using: str, items: Sequence[WorkItem]) -> list[Triggered]:
        """Return what follows from where these items are. Never raises for what is wrong with one of them."""


_followers: tuple[Followers, ...] = ()


def connect(*followers: Followers) -> None:
    """Let these follow items, and nobody else."""
    global _followers
    _followers = followers


def active(using: str) -> bool:
    """Say whether anything follows items."""
    return any(one.active(using) for one in _followers)


def follow_ids(using: str, moved: Collection[uuid.UUID], *, states: frozenset[str] = ENDED) -> None:
    """Do what `follow` does for items that are known by id; those in other states are left alone."""
    if moved and active(using):
        rows = WorkItem.objects.using(using).filter(pk__in=moved, state__in=states)
        follow(using, list(rows.order_by("pk")))


def follow(using: str, moved: Sequence[WorkItem]) -> None:
    """Enqueue what follows from where these items have come to, each with an event of the item."""
    if not moved:
        return
    found = [one for followers in _followers if followers.active(using) for one in _fired(using, followers, moved)]
    if not found:
        return
    from runtime.store import get_store

    get_store(using).insert([one.child for one in found if one.child is not None])
    items = {item.pk: item for item in moved}
    now = clock.now(using)
    write_events(using, [one.event(items[one.item], now) for one in found])
    for pk in dict.fromkeys(one.item for one in found):
        item = items[pk]
        item.row_version += 1
        counted = {"event_seq": item.event_seq, "row_version": item.row_version}
        WorkItem.objects.using(using).filter(pk=pk).update(**counted)


def _fired(using: str, followers: Followers, moved: Sequence[WorkItem]) -> list[Triggered]:
    concerned = [item for item in moved if item.state in followers.STATES]
    return followers.fire(using, concerned) if concerned else []
