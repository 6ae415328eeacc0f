"""What every operation has in common: who asks, why, may they, and the change itself.

An operation is one verb. `check()` says whether it is allowed, by raising `Forbidden`, `NotFound` or `Conflict`;
`execute()` checks and does it in one transaction that joins the caller's, leaving one event with actor and reason.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypedDict, Unpack

from django.contrib.auth.models import AnonymousUser
from django.db import OperationalError, transaction

from runtime import clock, instrument, jsondata, reach
from runtime.choices import TERMINAL, State
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound, StaleVersion
from runtime.models import WorkItem
from runtime.sentences import say as _
from runtime.store import get_store
from runtime.store.base import Store
from runtime.store.going import is_going
from runtime.store.transactions import lock_not_available
from runtime.store.values import Move

MAX_REASON = 500
CLICK = re.compile(r"[0-9a-zA-Z-]{1,40}")


@contextmanager
def locked_is_conflict(subject: object) -> Iterator[None]:
    """Raise `Conflict` where somebody else keeps a row of the subject locked for longer than the lock timeout.

    For who goes on with the next one then. The block is one operation: what it wrote is undone.
    """
    try:
        yield
    except OperationalError as error:
        if not lock_not_available(error):
            raise
        told = _("Another transaction keeps %(subject)s locked. Try again.", subject=str(subject))
        raise Conflict(told) from error


class MoveOptions(TypedDict, total=False):
    """What every operation on an item takes; see `ItemOperation`."""

    by: Any
    actor: str
    reason: str
    row_version: int | None
    click: str
    using: str | None


class Verb(ABC):
    """What is asked of one row, and by whom.

    `by` is a Django user whose permission is checked, and whether they reach the row's namespace, or None for trusted
    code (the product, the CLI), which then may give `actor` to say who it acts for. With `row_version` the row is
    changed only if nobody wrote it since that version was read (a confirm form, If-Match). `click` is the id of the
    press of a button that asked for it.
    """

    verb: ClassVar[str]
    participle: ClassVar[str]
    permission: ClassVar[str]
    reason_required: ClassVar[bool] = False
    shared_time: Callable[[], dt.datetime] | None = None
    """Tells the time where many are judged at once, so that the database is asked for it once; else it is asked."""

    def __init__(
        self,
        *,
        by: Any = None,
        actor: str = "",
        reason: str = "",
        row_version: int | None = None,
        click: str = "",
        using: str | None = None,
    ) -> None:
        self.by = by
        self.actor = actor_name(by, actor)
        self.reason = clean_reason(reason, required=self.reason_required)
        self.row_version = row_version
        self.click = clean_click(click)
        self.store: Store = get_store(using)

    def check_permission(self) -> None:
        """Raise `Forbidden` unless `by` may do this."""
        check_permission(self.by, self.permission, self.verb)

    def now(self) -> dt.datetime:
        """Return the database's time."""
        return clock.now(self.store.using) if self.shared_time is None else self.shared_time()

    @abstractmethod
    def would_change(self, row: Any) -> bool:
        """Say whether it would do anything to the row as it was read. Raises `Conflict` when it may not be done.

        Reads as little besides the row as the answer allows, since pages judge many.
        """

    @abstractmethod
    def execute(self) -> Any:
        """Do it and return what came of it. One transaction; joins the caller's."""


class OnItem(Verb):
    """What is asked of one item.

    `reason` is kept in the item's history. The events of all that was changed carry the `click`.
    """

    def __init__(self, item: uuid.UUID | str, **options: Unpack[MoveOptions]) -> None:
        self.item_id = parse_id(item)
        super().__init__(**options)

    @abstractmethod
    def would_change(self, item: WorkItem) -> bool:
        """Say whether it would do anything to the item as it was read. Raises `Conflict` when it may not be done."""

    @abstractmethod
    def execute(self) -> WorkItem:
        """Do it and return the item. One transaction; joins the caller's."""

    def conflict(self, item: WorkItem, hint: str) -> Conflict:
        """Return the error for an item in a state that this verb cannot move; `hint` says what can be done."""
        return Conflict(
            _(
                "Work item %(item)s is %(state)s; it cannot be %(participle)s. %(hint)s",
                item=item.pk,
                state=State(item.state).label,
                participle=self.participle,
                hint=hint,
            ),
            state=item.state,
        )

    def missing(self) -> NotFound:
        """Return the error for an item that is not there, or not for `by`: nobody can tell which."""
        return NotFound(_("There is no work item %(item)s.", item=self.item_id))

    def _require_reached(self, item: WorkItem) -> None:
        """Raise `NotFound` for an item out of reach of `by`."""
        require_reach(self.by, item.namespace, self.missing())

    def _require_unchanged(self, item: WorkItem) -> None:
        """Raise `StaleVersion` when the caller looked at an older row."""
        if self.row_version not in (None, item.row_version):
            raise StaleVersion(
                _(
                    "Work item %(item)s changed since version %(row_version)s was read; it is %(state)s now. Look "
                    "at it again.",
                    item=item.pk,
                    row_version=self.row_version,
                    state=State(item.state).label,
                ),
                state=item.state,
            )

    def _require_kept(self, item: WorkItem) -> None:
        """Raise `Conflict` when pruning has begun to take the item away: parts of it are missing."""
        if item.state in TERMINAL and is_going(item.pk, using=self.store.using):
            raise self.conflict(item, _("It was kept for as long as it had to be, and is being removed now."))


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
            raise self.missing()
        self._decide(found)

    def execute(self) -> WorkItem:
        """Do it and return the item. One transaction; joins the caller's."""
        self.check_permission()
        self._look_first()
        family: list[WorkItem] | None = [] if self.with_family else None
        item, changed = self.store.move(self.item_id, self._decide, actor=self.actor, reason=self.reason, family=family)
        for moved in (item, *(family or ())) if changed else ():
            told = partial(instrument.moved, self.store.using, moved, self.verb)
            transaction.on_commit(told, using=self.store.using, robust=True)
        return item

    def _look_first(self) -> None:
        """Raise `NotFound` for an item out of reach before it, or anybody below it, is locked."""
        if reach.of(self.by) is None:
            return
        found = WorkItem.objects.using(self.store.using).filter(pk=self.item_id).only("namespace").first()
        if found is not None:
            self._require_reached(found)

    def _decide(self, item: WorkItem) -> Move | None:
        self._require_reached(item)
        self._require_unchanged(item)
        self._require_kept(item)
        move = self.decide(item)
        return (
            move if move is None or not self.click else replace(move, data={**(move.data or {}), "click": self.click})
        )


def check_permission(by: Any, permission: str, verb: str, *, everywhere: bool = False) -> None:
    """Raise `Forbidden` unless the user `by` (None: trusted code) has `roost.<permission>`.

    What concerns the whole installation takes, with `everywhere`, somebody who reaches all namespaces too.
    """
    if by is None:
        return
    if isinstance(by, AnonymousUser) or not by.has_perm(f"roost.{permission}"):
        raise Forbidden(
            _(
                "%(actor)s may not %(verb)s: the permission roost.%(permission)s is missing.",
                actor=actor_name(by),
                verb=verb,
                permission=permission,
            )
        )
    # Asked before any row is locked: what the product's callable does may take its time.
    if reach.of(by) is not None and everywhere:
        raise Forbidden(
            _(
                "%(actor)s may not %(verb)s: this is about the whole installation, and takes somebody who reaches all "
                "namespaces.",
                actor=actor_name(by),
                verb=verb,
            )
        )


def require_reach(by: Any, namespace: str, missing: NotFound | None = None) -> None:
    """Raise unless `by` (None: trusted code) reaches the namespace.

    Raises `missing`, what is said of a row that is not there; `Forbidden` for a namespace that was asked for by name.
    """
    if reach.reaches(by, namespace):
        return
    if missing is not None:
        raise missing
    raise Forbidden(
        _("The namespace %(namespace)r is out of reach of %(actor)s.", namespace=namespace, actor=actor_name(by))
    )


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
        raise InvalidInput(_("A reason is required."), field="reason")
    if len(text) > MAX_REASON:
        raise InvalidInput(
            _(
                "The reason has %(count)s characters; at most %(max_reason)s are kept.",
                count=len(text),
                max_reason=MAX_REASON,
            ),
            field="reason",
        )
    return text


def clean_click(click: str) -> str:
    """Return the id of a click: letters, digits and dashes, 40 at the most, or nothing. Raises `InvalidInput`."""
    if click and not CLICK.fullmatch(click):
        raise InvalidInput(_("The id of a click has 1 to 40 letters, digits and dashes."), field="click")
    return click


def parse_id(item: uuid.UUID | str) -> uuid.UUID:
    """Return the id as a UUID. Raises `InvalidInput`."""
    if isinstance(item, uuid.UUID):
        return item
    try:
        return uuid.UUID(item)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(_("%(item)r is no work item id (a UUID).", item=item), field="item") from None
