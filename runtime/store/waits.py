"""The waits of items: opened and consumed in the commit, answered under the item's lock. Shared by both stores.

Whoever writes a wait holds the row lock of its item, so that an answer, an expiry, the item's own commit and its
cancellation never meet. Nothing here moves an item: `runtime.store.settling` does.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, OuterRef, Q, Subquery

from runtime.choices import WaitKind, WaitState
from runtime.journal.entries import call_asked_about
from runtime.jsondata import dumps, loads
from runtime.models import Signal, Wait, WorkItem
from runtime.store.children import Terms, ended_badly
from runtime.store.values import Claimed, NewWait, Outcome, WaitAnswer

ANSWERED = Q(state=WaitState.RESOLVED) | Q(state=WaitState.EXPIRED, has_default=True)
"""Waits that the item's next step gets an answer from."""

UNCONSUMED = ANSWERED | Q(state=WaitState.OPEN)

_CHANGING = [
    *("kind", "state", "needed", "prompt", "schema", "data", "signal_name", "quorum", "on_reject", "has_default"),
    *("default", "answers", "resolution", "resolved_by", "expires_at", "created_at", "resolved_at", "spawned"),
    "row_version",
]

UNNAMED = "somebody unnamed"
LAST_MOMENT = dt.datetime.max.replace(tzinfo=dt.UTC)


# Opening --------------------------------------------------------------------------------------------------------------


def open_for(using: str, outcomes: Sequence[Outcome], now: dt.datetime) -> None:
    """Write the waits of accepted outcomes. What is asked for again stays as it is, answered or open.

    A wait that ended without an answer, so that its item failed or was cancelled, is asked anew. The items are written.
    """
    new: list[Wait] = []
    changed: list[Wait] = []
    there = current(using, [outcome.item for outcome in outcomes])
    for outcome in outcomes:
        version = outcome.version + outcome.advance
        found = {wait.key: wait for wait in there[outcome.item]}
        asked = [_asked_again(found.pop(wait.key, None), wait, outcome, version, now) for wait in outcome.waits]
        if not outcome.advance:
            # The same step runs again, and meets the children that it has spawned; the next step's are others.
            latest = max([*asked, *found.values()], key=lambda wait: (wait.created_at, wait.pk))
            latest.spawned = [*latest.spawned, *(str(child.id) for child in outcome.children)]
        new += [wait for wait in asked if wait._state.adding]
        changed += [wait for wait in asked if not wait._state.adding]
        for wait in found.values():
            wait.needed = ""
            changed.append(wait)
    for wait in changed:
        wait.row_version += 1
    Wait.objects.using(using).bulk_create(new)
    Wait.objects.using(using).bulk_update(changed, _CHANGING)
    WorkItem.objects.using(using).filter(pk__in=[outcome.item for outcome in outcomes]).update(asked=True)


def _asked_again(there: Wait | None, wait: NewWait, outcome: Outcome, version: int, now: dt.datetime) -> Wait:
    if there is None:
        there = Wait(work_item_id=outcome.item, base_version=version, key=wait.key, created_at=now)
    elif there.state not in _UNANSWERED or (there.state == WaitState.EXPIRED and there.has_default):
        there.needed = wait.needed
        return there
    spawned = there.spawned
    for name, value in _columns(wait, now).items():
        setattr(there, name, value)
    there.spawned = spawned
    return there


_UNANSWERED = frozenset({WaitState.WITHDRAWN, WaitState.EXPIRED})


def _columns(wait: NewWait, now: dt.datetime) -> dict[str, Any]:
    return {
        "kind": wait.kind,
        "state": WaitState.OPEN,
        "needed": wait.needed,
        "prompt": wait.prompt,
        "schema": _data(wait.schema),
        "data": _data(wait.data),
        "signal_name": wait.signal_name,
        "quorum": wait.quorum,
        "on_reject": wait.on_reject,
        "has_default": wait.has_default,
        "default": _data(wait.default),
        "answers": [],
        "resolution": None,
        "resolved_by": "",
        "expires_at": None if wait.expires_in is None else _later(now, wait.expires_in),
        "created_at": now,
        "resolved_at": None,
    }


def _data(text: str | None) -> Any:
    return None if text is None else loads(text)


def _later(now: dt.datetime, seconds: float) -> dt.datetime:
    try:
        return now + dt.timedelta(seconds=seconds)
    except OverflowError:
        return LAST_MOMENT


# Ending ---------------------------------------------------------------------------------------------------------------


def consume(using: str, handed: Mapping[uuid.UUID, Collection[str]]) -> list[Wait]:
    """Let the answers that the items' steps were handed, by key, count as used by the version that is being made.

    Takes back everything else that the items have asked for, and returns what people answered of it after the step
    had begun: no step has seen these answers. They stay in the rows for the record.
    """
    waits = Wait.objects.using(using).filter(work_item__in=handed)
    answered = list(waits.filter(ANSWERED).order_by("pk"))
    used = {wait.pk for wait in answered if wait.key in handed[wait.work_item_id]}
    taken = Signal.objects.using(using).filter(taken_by__in=used)
    of_wait = Wait.objects.using(using).filter(pk=OuterRef("taken_by")).values("base_version")[:1]
    taken.update(consumed_version=Subquery(of_wait) + 1)
    waits.filter(pk__in=used).update(
        state=WaitState.CONSUMED, consumed_version=F("base_version") + 1, row_version=F("row_version") + 1
    )
    waits.filter(UNCONSUMED).update(state=WaitState.WITHDRAWN, row_version=F("row_version") + 1)
    WorkItem.objects.using(using).filter(pk__in=handed).update(asked=False)
    return [wait for wait in answered if wait.pk not in used and wait.state == WaitState.RESOLVED]


def withdraw(using: str, items: Collection[uuid.UUID]) -> None:
    """Take back what these items have asked for and nobody has answered."""
    waits = Wait.objects.using(using).filter(work_item__in=items, state=WaitState.OPEN)
    waits.update(state=WaitState.WITHDRAWN, row_version=F("row_version") + 1)


def forget(using: str, item: uuid.UUID) -> None:
    """Take back all that an item has asked for, answered or not: it goes on from another state."""
    waits = Wait.objects.using(using).filter(UNCONSUMED, work_item=item)
    # They stay the item's: somebody else who waits for the name would have to be woken, and was not locked.
    Signal.objects.using(using).filter(taken_by__in=waits).update(taken_by=None, target=item)
    waits.update(state=WaitState.WITHDRAWN, row_version=F("row_version") + 1)


def forget_doubts(using: str, item: WorkItem, calls: Collection[str]) -> None:
    """Take back what an item has asked about recorded calls of these keys, with the answers. The item is locked."""
    asked = Wait.objects.using(using).filter(work_item=item.pk, base_version=item.version, kind=WaitKind.INPUT)
    about = [pk for pk, key in asked.values_list("pk", "key") if call_asked_about(key) in calls]
    if about:
        withdrawn = Wait.objects.using(using).filter(pk__in=about)
        withdrawn.update(state=WaitState.WITHDRAWN, needed="", row_version=F("row_version") + 1)


def reopen(using: str, item: uuid.UUID, now: dt.datetime) -> str:
    """Open what an item still needed when it ended, with as much time as before; return the kind of the first.

    Empty when it had all it needed, or asked for nothing. The item's row is locked.
    """
    asked = current(using, [item])[item]
    void = [wait for wait in asked if wait.needed and not is_answered(wait)]
    if not void or judge(asked).goes_on:
        return ""
    for wait in void:
        span = None if wait.expires_at is None else (wait.expires_at - wait.created_at).total_seconds()
        wait.state, wait.answers, wait.created_at = WaitState.OPEN, [], now
        wait.resolution, wait.resolved_by, wait.resolved_at = None, "", None
        wait.expires_at = None if span is None else _later(now, span)
        wait.row_version += 1
    Wait.objects.using(using).bulk_update(void, _CHANGING)
    return void[0].kind


# Answers --------------------------------------------------------------------------------------------------------------


def record(using: str, answer: WaitAnswer, now: dt.datetime) -> None:
    """Write a person's answer to an open wait, whose item is locked."""
    wait = Wait.objects.using(using).get(pk=answer.wait)
    vote = {"by": answer.by, "value": answer.value, "reason": answer.reason, "at": now.isoformat()}
    wait.answers = [*wait.answers, vote]
    if answer.final:
        names = [str(one["by"]) for one in wait.answers]
        told = names if len(names) == 1 else [name or UNNAMED for name in names]
        resolve(wait, answer.value, now, by=", ".join(told)[:200])
    save(using, [wait])


def resolve(wait: Wait, value: Any, now: dt.datetime, *, by: str = "", state: str = WaitState.RESOLVED) -> None:
    """Give the wait its answer; `save` writes it."""
    wait.state, wait.resolution, wait.resolved_by, wait.resolved_at = state, value, by, now


def save(using: str, waits: Iterable[Wait]) -> None:
    """Write waits that were answered."""
    for wait in waits:
        wait.row_version += 1
        wait.save(
            using=using,
            update_fields=["state", "answers", "resolution", "resolved_by", "resolved_at", "row_version"],
        )


def current(using: str, items: Collection[uuid.UUID]) -> defaultdict[uuid.UUID, list[Wait]]:
    """Return the waits that these items have asked for from the version they are at, in the order of asking."""
    found: defaultdict[uuid.UUID, list[Wait]] = defaultdict(list)
    rows = Wait.objects.using(using).filter(work_item__in=items, base_version=F("work_item__version"))
    for wait in rows.order_by("created_at", "pk"):
        found[wait.work_item_id].append(wait)
    return found


def with_answers(using: str, claimed: Sequence[Claimed]) -> list[Claimed]:
    """Fill in the answers of those claimed items that have asked; the claim marks them with an empty text."""
    asked = [one.id for one in claimed if one.answers is not None]
    if not asked:
        return list(claimed)
    found = current(using, asked)
    return [one if one.answers is None else one._replace(answers=_told(found[one.id])) for one in claimed]


def _told(waits: Sequence[Wait]) -> str:
    answers = [_answer(wait) for wait in waits if is_answered(wait)]
    return dumps({"answers": answers, "spawned": [child for wait in waits for child in wait.spawned]}, depth=1_000)


def _answer(wait: Wait) -> dict[str, Any]:
    return {
        "key": wait.key,
        "kind": wait.kind,
        "value": wait.resolution,
        "by": wait.resolved_by,
        "reason": wait.answers[-1]["reason"] if wait.answers and wait.state == WaitState.RESOLVED else "",
        "expired": wait.state == WaitState.EXPIRED,
        "at": None if wait.resolved_at is None else wait.resolved_at.isoformat(),
    }


def is_answered(wait: Wait) -> bool:
    """Say whether the next step gets an answer from this wait. Pure."""
    return wait.state == WaitState.RESOLVED or (wait.state == WaitState.EXPIRED and wait.has_default)


# What it comes to -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an item that waits may go on, or fails because of `bad`; neither means that it waits on."""

    goes_on: bool = False
    bad: Wait | None = None


def judge(waits: Iterable[Wait]) -> Verdict:
    """Say what the waits of an item come to, in the order of asking. Pure.

    An answered one of those of which any is enough lets the item go on; a wait that failed it comes next; then all of
    those that are needed must be answered.
    """
    needed = [wait for wait in waits if wait.needed]
    bad = next((wait for wait in needed if fails(wait)), None)
    good = [wait for wait in needed if is_answered(wait) and not fails(wait)]
    if any(wait.needed == "any" for wait in good):
        return Verdict(goes_on=True)
    if bad is not None:
        return Verdict(bad=bad)
    return Verdict(goes_on=bool(needed) and len(good) == len(needed))


def fails(wait: Wait) -> bool:
    """Say whether what became of the wait fails its item. Pure."""
    if wait.state == WaitState.EXPIRED:
        return not wait.has_default
    if wait.state != WaitState.RESOLVED:
        return False
    if wait.kind == WaitKind.APPROVAL:
        return wait.on_reject == "fail" and wait.resolution is False
    if wait.kind == WaitKind.CHILDREN:
        return Terms.of(wait).on_failure == "fail" and bool(ended_badly(wait))
    return False
