"""What is asked for, by which items, and how far it is answered."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from runtime.choices import LIVE, WaitKind, WaitState
from runtime.models import Wait, WorkItem
from runtime.queries.page import Page, checked_limit, page_of
from runtime.queries.words import moment
from runtime.sentences import Sentence
from runtime.sentences import say as _
from runtime.store import children, work_database

FOR_PEOPLE = (WaitKind.APPROVAL, WaitKind.INPUT)


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitView:
    """A wait with what is known of its progress; `children_left` is None where it is not for children."""

    wait: Wait
    children_left: int | None = None

    @property
    def holds(self) -> bool:
        """Whether the item waits for it now."""
        return self.wait.state == WaitState.OPEN and bool(self.wait.needed)

    @property
    def votes(self) -> int:
        """How many people have approved so far."""
        return len(self.wait.answers)

    @property
    def text(self) -> Sentence:
        """What is waited for, in words."""
        wait = self.wait
        return _(
            "The %(kind)s %(key)r, asked for at %(at)s%(more)s%(end)s%(prompt)s",
            kind=WaitKind(wait.kind).label,
            key=wait.key,
            at=moment(wait.created_at),
            more=self._progress(),
            end=self._end(),
            prompt=f": {wait.prompt}" if wait.prompt else ".",
        )

    def _progress(self) -> str:
        wait = self.wait
        if wait.kind == WaitKind.APPROVAL and wait.quorum > 1:
            return _(", %(votes)d of %(quorum)d have approved", votes=self.votes, quorum=wait.quorum)
        if wait.kind == WaitKind.SIGNAL and wait.signal_name != wait.key:
            return _(", the signal's name is %(name)r", name=wait.signal_name)
        if self.children_left is not None:
            return _(", %(count)d still live", count=self.children_left)
        return ""

    def _end(self) -> str:
        at = moment(self.wait.expires_at)
        if self.wait.expires_at is None:
            return ""
        if self.wait.kind == WaitKind.TIMER:
            return _(", it rings at %(at)s", at=at)
        if self.wait.has_default:
            return _(", its default is taken at %(at)s", at=at)
        return _(", the item fails at %(at)s", at=at)

    @property
    def facts(self) -> dict[str, Any]:
        """The same for machines."""
        wait = self.wait
        return {
            "wait": wait.pk,
            "key": wait.key,
            "prompt": wait.prompt,
            "since": wait.created_at,
            "expires_at": wait.expires_at,
            "votes": self.votes,
            "quorum": wait.quorum,
            "signal": wait.signal_name,
            "children_left": self.children_left,
        }


def of_item(item: WorkItem, *, using: str | None = None) -> list[WaitView]:
    """Return what the item has asked for from the version it is at, in the order of asking."""
    using = using or work_database()
    found = Wait.objects.using(using).filter(work_item_id=item.pk, base_version=item.version)
    return [_view(item, wait, using) for wait in found.order_by("created_at", "pk")]


def _view(item: WorkItem, wait: Wait, using: str) -> WaitView:
    if wait.kind != WaitKind.CHILDREN or wait.state != WaitState.OPEN:
        return WaitView(wait=wait)
    return WaitView(wait=wait, children_left=children.of_wait(using, item, wait).filter(state__in=LIVE).count())


def page(
    *,
    item: uuid.UUID | None = None,
    kinds: Sequence[str] = (),
    states: Sequence[str] = (WaitState.OPEN,),
    namespace: str = "",
    within: Sequence[str] | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
    using: str | None = None,
) -> Page[Wait]:
    """Return waits, newest first, with their items; `states` empty means all, `within` None all namespaces.

    Raises `InvalidInput` for the limit.
    """
    found: QuerySet[Wait] = Wait.objects.using(using or work_database()).select_related("work_item").order_by("-pk")
    if item is not None:
        found = found.filter(work_item=item)
    if kinds:
        found = found.filter(kind__in=kinds)
    if states:
        found = found.filter(state__in=states)
    if namespace:
        found = found.filter(work_item__namespace=namespace)
    if within is not None:
        found = found.filter(work_item__namespace__in=within)
    if before is not None:
        found = found.filter(pk__lt=before)
    return page_of(found[: checked_limit(limit) + 1], limit)
