"""What approve, reject and respond have in common: which wait is meant, and that it is answered once."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from typing import Any, ClassVar, Unpack

from runtime.choices import TERMINAL, WaitKind, WaitState
from runtime.exceptions import Conflict, InvalidInput, NotFound, StaleVersion
from runtime.models import Wait, WorkItem
from runtime.operations import fields
from runtime.operations.base import ItemOperation, MoveOptions, parse_id, require_reach
from runtime.sentences import say as _
from runtime.store import get_store
from runtime.store.values import Move, WaitAnswer


class Answering(ItemOperation):
    """One person's answer to an open wait of an item.

    The wait is named by its key, or by its id instead of item and key; without either it is the only open one of the
    kind. An item that is paused keeps the answer and goes on with it when it is resumed. With `wait_version` it is
    answered only if nobody wrote the wait since that version was read.
    """

    kind: ClassVar[WaitKind]
    event: ClassVar[str]

    def __init__(
        self,
        item: uuid.UUID | str | None = None,
        key: str | None = None,
        *,
        wait: uuid.UUID | str | None = None,
        wait_version: int | None = None,
        **options: Unpack[MoveOptions],
    ) -> None:
        self.wait_version = wait_version
        self.wait_id = None if wait is None else _parse_wait(wait)
        super().__init__(_item_of(item, self.wait_id, options), **options)
        self.key = None if key is None else fields.text(key, "key", limit=200)

    def decide(self, item: WorkItem) -> Move:
        """Raise `Conflict` when there is nothing to answer in this way, or it was answered already."""
        wait = self._wanted(item)
        if self.wait_version not in (None, wait.row_version):
            raise StaleVersion(
                _(
                    "The %(kind)s %(key)r of work item %(item)s changed since version %(wait_version)s was read. "
                    "Look at it again.",
                    kind=self.kind,
                    key=wait.key,
                    item=item.pk,
                    wait_version=self.wait_version,
                ),
                state=item.state,
            )
        answer = self.answer(item, wait)
        votes = len(wait.answers) + 1
        return Move(
            kind=self.event,
            answer=answer,
            data={"key": wait.key, "votes": votes, "of": wait.quorum} if wait.quorum > 1 else {"key": wait.key},
        )

    @abstractmethod
    def answer(self, item: WorkItem, wait: Wait) -> WaitAnswer:
        """Return what is said to the wait. Raises `Conflict` and `InvalidInput`."""

    def told(self, wait: Wait, value: Any, *, final: bool) -> WaitAnswer:
        """Return an answer in the name of whoever acts."""
        return WaitAnswer(wait=wait.pk, by=self.actor, reason=self.reason, value=value, final=final)

    def _wanted(self, item: WorkItem) -> Wait:
        if item.state in TERMINAL:
            raise self.conflict(item, _("It has ended."))
        found = self._named(item)
        still = [wait for wait in found if wait.state == WaitState.OPEN]
        if len(still) == 1:
            return still[0]
        if still:
            keys = ", ".join(repr(wait.key) for wait in still)
            raise InvalidInput(
                _(
                    "Work item %(item)s has several open %(kind)ss: %(keys)s. Give the key.",
                    item=item.pk,
                    kind=self.kind,
                    keys=keys,
                ),
                field="key",
            )
        raise self._nothing_open(item, found)

    def _named(self, item: WorkItem) -> list[Wait]:
        waits = Wait.objects.using(self.store.using).filter(
            work_item_id=item.pk, base_version=item.version, kind=self.kind
        )
        if self.wait_id is not None:
            waits = waits.filter(pk=self.wait_id)
        if self.key is not None:
            waits = waits.filter(key=self.key)
        return list(waits.order_by("created_at", "pk"))

    def _nothing_open(self, item: WorkItem, found: list[Wait]) -> Conflict:
        if found:
            last = found[-1]
            hint = _(
                "Its %(kind)s %(key)r is %(state)s already%(by)s.",
                kind=self.kind.label,
                key=last.key,
                state=WaitState(last.state).label,
                by=_(" by %(actor)s", actor=last.resolved_by) if last.resolved_by else "",
            )
        else:
            which = f" {self.key!r}" if self.key is not None else ""
            hint = _("It has no open %(kind)s%(which)s.", kind=self.kind.label, which=which)
        return self.conflict(item, hint)


def _parse_wait(wait: uuid.UUID | str) -> uuid.UUID:
    try:
        return wait if isinstance(wait, uuid.UUID) else uuid.UUID(wait)
    except (ValueError, TypeError, AttributeError):
        raise InvalidInput(_("%(wait)r is no wait's id (a UUID).", wait=wait), field="wait") from None


def _item_of(item: uuid.UUID | str | None, wait: uuid.UUID | None, options: MoveOptions) -> uuid.UUID:
    if wait is None:
        if item is None:
            raise InvalidInput(_("Name the work item, or the wait."), field="item")
        return parse_id(item)
    missing = NotFound(f"There is no wait {wait}" + (f" of work item {item}." if item is not None else "."))
    waits = Wait.objects.using(get_store(options.get("using")).using).filter(pk=wait)
    owner, namespace = waits.values_list("work_item_id", "work_item__namespace").first() or (None, "")
    if owner is None or (item is not None and parse_id(item) != owner):
        raise missing
    require_reach(options.get("by"), namespace, missing)
    return uuid.UUID(str(owner))
