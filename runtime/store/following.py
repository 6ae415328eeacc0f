"""What follows from outcomes that ask, have asked, or end a child. Shared by both stores, and never the hot path.

    following = lock(using, outcomes)     mailboxes, then all items concerned by id: own ones and parents
    …                                     the outcomes are written, their children inserted
    follow(following, states)             answers are consumed, waits opened; own items and parents are settled

Whether what is asked for is there already is read after the locks: a signal, an ended child or an answer comes either
before, and is seen here, or after, and sees the open wait.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from runtime import clock
from runtime.choices import TERMINAL, EventKind, State, WaitKind
from runtime.models import Wait, WorkItem
from runtime.store import hearing, mailboxes, triggered, waits, waking
from runtime.store.history import lock_rows, next_event, write_events
from runtime.store.mailboxes import Name
from runtime.store.settling import PARKED, settle, tell_parents_later
from runtime.store.values import Outcome
from runtime.store.waking import Freeing


@dataclass(frozen=True, slots=True)
class Following:
    """A transaction that writes such outcomes, its locks taken: by `lock`, for `follow`."""

    freeing: Freeing
    outcomes: tuple[Outcome, ...]
    names: frozenset[Name]
    parents: frozenset[uuid.UUID]
    apart: bool = False


def concerns(outcome: Outcome) -> bool:
    """Say whether more follows from the outcome than its own rows. Pure."""
    if outcome.waits:
        return True
    ends = outcome.state in TERMINAL
    return (outcome.asked and (ends or outcome.advance)) or (outcome.has_parent and ends)


def lock(using: str, outcomes: Sequence[Outcome], *, apart: bool = False) -> Following:
    """Lock all that writing these outcomes, and what follows from them, will touch. Call it first.

    With `apart` neither resources nor parents, nor mailboxes that somebody keeps locked: claims are not freed, and
    parents told and mailboxes looked into after the commit.
    """
    concerned = tuple(outcome for outcome in outcomes if concerns(outcome))
    rows = WorkItem.objects.using(using).filter(pk__in=[outcome.item for outcome in concerned])
    places = {pk: (namespace, parent) for pk, namespace, parent in rows.values_list("pk", "namespace", "parent_id")}
    concerned = tuple(outcome for outcome in concerned if outcome.item in places)
    names = frozenset(_names(concerned, places))
    parents = frozenset(
        parent for outcome in concerned if outcome.state in TERMINAL and (parent := places[outcome.item][1]) is not None
    )
    items = {outcome.item for outcome in outcomes} | (set() if apart else parents)
    if not apart and any(outcome.frees for outcome in outcomes):
        freeing = waking.prepare(using, items, names=names)
    else:
        locked = mailboxes.lock(using, names, skip_locked=apart)
        lock_rows(using, items)
        freeing = Freeing(using, frozenset(), (), {}, locked)
    return Following(freeing, concerned, names, parents, apart)


def _names(concerned: Iterable[Outcome], places: Mapping[uuid.UUID, tuple[str, uuid.UUID | None]]) -> Iterable[Name]:
    for outcome in concerned:
        for wait in outcome.waits:
            if wait.kind == WaitKind.SIGNAL:
                yield Name(places[outcome.item][0], wait.signal_name)


def follow(following: Following, states: Mapping[uuid.UUID, str]) -> dict[uuid.UUID, str]:
    """Write what follows from the accepted outcomes; return the states of those that were left in another one."""
    freeing, using = following.freeing, following.freeing.using
    accepted = [outcome for outcome in following.outcomes if outcome.item in states]
    asked = [outcome for outcome in accepted if outcome.asked]
    now = clock.now(using)
    if handed := {outcome.item: frozenset(outcome.answers) for outcome in asked if outcome.advance}:
        _tell_unused(using, waits.consume(using, handed), now)
    if over := [outcome.item for outcome in asked if outcome.state in TERMINAL and not outcome.advance]:
        waits.withdraw(using, over)
    asking = [outcome for outcome in accepted if outcome.waits]
    if asking:
        waits.open_for(using, asking, now)
    moved: list[WorkItem] = []
    if asking:
        own = _parked(using, {outcome.item for outcome in asking})
        moved += settle(freeing, own, now, names=freeing.names)
        hearing.wait_later(using, [item.pk for item in own], following.names - freeing.names)
    if following.apart:
        tell_parents_later(using, [outcome.item for outcome in accepted if outcome.state in TERMINAL])
    elif parents := _parked(using, following.parents):
        ended = WorkItem.objects.using(using).filter(pk__in=[one.item for one in accepted], state__in=TERMINAL)
        moved += settle(freeing, parents, now, ended=list(ended.only("id", "state", "parent_id").order_by("pk")))
    if asking:
        triggered.follow_ids(using, [outcome.item for outcome in asking], states=_WAITING)
    return {item.pk: item.state for item in moved if item.pk in states}


_WAITING = frozenset({State.WAITING})


def _tell_unused(using: str, late: Sequence[Wait], now: dt.datetime) -> None:
    """Tell the histories of items of answers that came while the step ran without them."""
    items = WorkItem.objects.using(using).in_bulk({wait.work_item_id for wait in late}) if late else {}
    events = [
        next_event(
            items[wait.work_item_id],
            EventKind.ANSWERED,
            now,
            reason=wait.kind,
            data={"key": wait.key, "by": wait.resolved_by, "unused": True},
        )
        for wait in late
    ]
    write_events(using, events)
    for item in items.values():
        counted = {"event_seq": item.event_seq, "row_version": item.row_version + 1, "updated_at": now}
        WorkItem.objects.using(using).filter(pk=item.pk).update(**counted)


def _parked(using: str, items: Iterable[uuid.UUID]) -> list[WorkItem]:
    rows = WorkItem.objects.using(using).filter(pk__in=list(items), asked=True, state__in=PARKED)
    return list(rows.order_by("pk"))
