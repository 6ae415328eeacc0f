"""What every operation has in common: who asks, why, may they, and the change itself.

An operation is one verb. `check()` says whether it is allowed, by raising `Forbidden`, `NotFound` or `Conflict`;
`execute()` checks and does it in one transaction that joins the caller's, leaving one event with actor and reason.
"""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from runtime import instrument
from runtime.exceptions import Forbidden, InvalidInput, NotFound
from runtime.models import WorkItem
from runtime.store import get_store
from runtime.store.base import Move, Store

MAX_REASON = 500


class ItemOperation:
    """One move on one item.

    `by` is a Django user whose permission is checked, or None for trusted code (the product, the CLI), which then
    may give `actor` to say who it acts for. `reason` is kept in the item's history.
    """

    verb: ClassVar[str]
    permission: ClassVar[str]
    reason_required: ClassVar[bool] = False

    def __init__(
        self, item: uuid.UUID | str, *, by: Any = None, actor: str = "", reason: str = "", using: str | None = None
    ) -> None:
        self.item_id = parse_id(item)
        self.by = by
        self.actor = actor_name(by, actor)
        self.reason = clean_reason(reason, required=self.reason_required)
        self.store: Store = get_store(using)

    def check_permission(self) -> None:
        """Raise `Forbidden` unless `by` may do this."""
        check_permission(self.by, self.permission, self.verb)

    def decide(self, item: WorkItem) -> Move | None:
        """Return the move for the item in the state it is in, None for nothing to do. Raises `Conflict`."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise unless the operation would be done now. Changes nothing; the answer may be stale at once."""
        self.check_permission()
        found = WorkItem.objects.using(self.store.using).filter(pk=self.item_id).first()
        if found is None:
            raise NotFound(f"There is no work item {self.item_id}.")
        self.decide(found)

    def execute(self) -> WorkItem:
        """Do it and return the item. One transaction; joins the caller's."""
        self.check_permission()
        item, changed = self.store.move(self.item_id, self.decide, actor=self.actor, reason=self.reason)
        if changed:
            transaction.on_commit(lambda: instrument.moved(self.store.using, item, self.verb), using=self.store.using)
        return item


def check_permission(by: Any, permission: str, verb: str) -> None:
    """Raise `Forbidden` unless the user `by` (None: trusted code) has `roost.<permission>`."""
    if by is None:
        return
    if isinstance(by, AnonymousUser) or not by.has_perm(f"roost.{permission}"):
        raise Forbidden(f"{actor_name(by)} may not {verb}: the permission roost.{permission} is missing.")


def actor_name(by: Any, actor: str = "") -> str:
    """Return the name that events carry for whoever acts."""
    return (by.get_username() if by is not None else actor)[:200]


def clean_reason(reason: str, *, required: bool = False) -> str:
    """Return the reason, trimmed. Raises `InvalidInput` when it is too long, or missing where one is asked for."""
    text = reason.strip()
    if required and not text:
        raise InvalidInput("A reason is required.", field="reason")
    if len(text) > MAX_REASON:
        raise InvalidInput(f"The reason has {len(text)} characters; at most {MAX_REASON} are kept.", field="reason")
    return text


def parse_id(item: uuid.UUID | str) -> uuid.UUID:
    """Return the id as a UUID. Raises `InvalidInput`."""
    if isinstance(item, uuid.UUID):
        return item
    try:
        return uuid.UUID(item)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(f"{item!r} is no work item id (a UUID).", field="item") from None
