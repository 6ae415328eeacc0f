"""What every operation has in common: who asks, why, may they, and the change itself.

An operation is one verb. `check()` says whether it is allowed, by raising `Forbidden`, `NotFound` or `Conflict`;
`execute()` checks and does it in one transaction that joins the caller's, leaving one event with actor and reason.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from abc import ABC, abstractmethod
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypedDict

from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from runtime import clock, instrument, jsondata
from runtime.choices import TERMINAL
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound, StaleVersion
from runtime.models import WorkItem
from runtime.store import get_store
from runtime.store.base import Store
from runtime.store.going import is_going
from runtime.store.values import Move

MAX_REASON = 500
CLICK = re.compile(r"[0-9a-zA-Z-]{1,40}")


class MoveOptions(TypedDict, total=False):
    """What every operation on an item takes; see `ItemOperation`."""

    by: Any
    actor: str
    reason: str
    row_version: int | None
    click: str
    using: str | None


class OnItem(ABC):
    """What is asked of one item, and by whom.

    `by` is a Django user whose permission is checked, or None for trusted code (the product, the CLI), which then
    may give `actor` to say who it acts for. `reason` is kept in the item's history. With `row_version` the item is
    moved only if nobody wrote it since that version was read (a confirm form, If-Match). `click` is the id of the
    press of a button that asked for it: the events of all that it changed carry it.
    """

    verb: ClassVar[str]
    participle: ClassVar[str]
    permission: ClassVar[str]
    reason_required: ClassVar[bool] = False

    def __init__(
        self,
        item: uuid.UUID | str,
        *,
        by: Any = None,
        actor: str = "",
        reason: str = "",
        row_version: int | None = None,
        click: str = "",
        using: str | None = None,
    ) -> None:
        self.item_id = parse_id(item)
        self.by = by
        self.actor = actor_name(by, actor)
        self.reason = clean_reason(reason, required=self.reason_required)
        self.row_version = row_version
        self.click = clean_click(click)
        self.store: Store = get_store(using)

    def check_permission(self) -> None:
        """Raise `Forbidden` unless `by` may do this."""
        check_permission(self.by, self.permission, self.verb)

    @abstractmethod
    def would_change(self, item: WorkItem) -> bool:
        """Say whether it would do anything to the item as it was read. Raises `Conflict` when it may not be done."""

    @abstractmethod
    def execute(self) -> WorkItem:
        """Do it and return the item. One transaction; joins the caller's."""

    def conflict(self, item: WorkItem, hint: str) -> Conflict:
        """Return the error for an item in a state that this verb cannot move; `hint` says what can be done."""
        return Conflict(
            f"Work item {item.pk} is {item.state}; it cannot be {self.participle}. {hint}", state=item.state
        )

    def now(self) -> dt.datetime:
        """Return the database's time."""
        return clock.now(self.store.using)

    def _require_unchanged(self, item: WorkItem) -> None:
        """Raise `StaleVersion` when the caller looked at an older row."""
        if self.row_version not in (None, item.row_version):
            raise StaleVersion(
                f"Work item {item.pk} changed since version {self.row_version} was read; it is {item.state} now. "
                f"Look at it again.",
                state=item.state,
            )

    def _require_kept(self, item: WorkItem) -> None:
        """Raise `Conflict` when pruning has begun to take the item away: parts of it are missing."""
        if item.state in TERMINAL and is_going(item.pk, using=self.store.using):
            raise self.conflict(item, "It was kept for as long as it had to be, and is being removed now.")


class ItemOperation(OnItem):
    """One move on one item, decided while its row is locked; with `with_family`, on its live descendants too."""

    with_family: ClassVar[bool] = False

    @abstractmethod
    def decide(self, item: WorkItem) -> Move | None:
        """Return the move for the item in the state it is in, None for nothing to do. Raises `Conflict`."""

    def would_change(self, item: WorkItem) -> bool:
        """Say whether `decide` comes to a move."""
        return self.decide(item) is not None

    def check(self) -> None:
        """Raise unless the operation would be done now. Changes nothing; the answer may be stale at once."""
        self.check_permission()
        found = WorkItem.objects.using(self.store.using).filter(pk=self.item_id).first()
        if found is None:
            raise NotFound(f"There is no work item {self.item_id}.")
        self._decide(found)

    def execute(self) -> WorkItem:
        """Do it and return the item. One transaction; joins the caller's."""
        self.check_permission()
        family: list[WorkItem] | None = [] if self.with_family else None
        item, changed = self.store.move(self.item_id, self._decide, actor=self.actor, reason=self.reason, family=family)
        for moved in (item, *(family or ())) if changed else ():
            told = partial(instrument.moved, self.store.using, moved, self.verb)
            transaction.on_commit(told, using=self.store.using, robust=True)
        return item

    def _decide(self, item: WorkItem) -> Move | None:
        self._require_unchanged(item)
        self._require_kept(item)
        move = self.decide(item)
        return (
            move if move is None or not self.click else replace(move, data={**(move.data or {}), "click": self.click})
        )


def check_permission(by: Any, permission: str, verb: str) -> None:
    """Raise `Forbidden` unless the user `by` (None: trusted code) has `roost.<permission>`."""
    if by is None:
        return
    if isinstance(by, AnonymousUser) or not by.has_perm(f"roost.{permission}"):
        raise Forbidden(f"{actor_name(by)} may not {verb}: the permission roost.{permission} is missing.")


def actor_name(by: Any, actor: str = "") -> str:
    """Return the name that events carry for whoever acts."""
    name = str(by.get_username() if by is not None else actor)
    jsondata.check(name, "actor")
    return name[:200]


def clean_reason(reason: str, *, required: bool = False) -> str:
    """Return the reason, trimmed. Raises `InvalidInput` when it is too long, unstorable, or missing where required."""
    jsondata.check(reason, "reason")
    text = reason.strip()
    if required and not text:
        raise InvalidInput("A reason is required.", field="reason")
    if len(text) > MAX_REASON:
        raise InvalidInput(f"The reason has {len(text)} characters; at most {MAX_REASON} are kept.", field="reason")
    return text


def clean_click(click: str) -> str:
    """Return the id of a click: letters, digits and dashes, 40 at the most, or nothing. Raises `InvalidInput`."""
    if click and not CLICK.fullmatch(click):
        raise InvalidInput("The id of a click has 1 to 40 letters, digits and dashes.", field="click")
    return click


def parse_id(item: uuid.UUID | str) -> uuid.UUID:
    """Return the id as a UUID. Raises `InvalidInput`."""
    if isinstance(item, uuid.UUID):
        return item
    try:
        return uuid.UUID(item)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(f"{item!r} is no work item id (a UUID).", field="item") from None
