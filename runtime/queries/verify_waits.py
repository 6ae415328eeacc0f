"""Check what must be true of the waits of items."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence

from runtime.choices import TERMINAL, State, WaitState
from runtime.models import Signal, Wait, WorkItem
from runtime.queries.problem import Problem
from runtime.store.waits import UNCONSUMED, judge


def problems(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    """Yield what is wrong with the waits of these items."""
    waits: defaultdict[uuid.UUID, list[Wait]] = defaultdict(list)
    rows = Wait.objects.using(using).filter(UNCONSUMED, work_item__in=[one.pk for one in found])
    for wait in rows.order_by("created_at", "pk"):
        waits[wait.work_item_id].append(wait)
    for one in found:
        yield from _of_item(one, waits[one.pk])
    yield from _signals(found, using)


def _of_item(one: WorkItem, waits: Sequence[Wait]) -> Iterator[Problem]:
    still = [wait for wait in waits if wait.state == WaitState.OPEN]
    holding = [wait for wait in still if wait.needed and wait.base_version == one.version]
    if one.state == State.WAITING and not holding:
        yield Problem(item=one.pk, code="no_wait", text="It is waiting, but nothing that it has asked for is open.")
    elif one.state == State.WAITING and judge(waits).goes_on:
        text = "It is waiting, although what it has asked for was answered."
        yield Problem(item=one.pk, code="missed_answer", text=text)
    if one.state in TERMINAL and still:
        text = f"It is {one.state}, but still asks for {still[0].key!r}."
        yield Problem(item=one.pk, code="stray_wait", text=text)
    if waits and not one.asked:
        yield Problem(item=one.pk, code="asked", text=f"It has asked for {waits[0].key!r}, but is not marked so.")
    for wait in waits:
        if wait.base_version != one.version:
            text = f"It is at version {one.version}, but what it asked for at {wait.base_version} is not consumed."
            yield Problem(item=one.pk, code="wait_version", text=text)


def _signals(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    """A signal is consumed by the version that consumed the wait that took it."""
    taken = Signal.objects.using(using).filter(taken_by__work_item__in=[one.pk for one in found])
    for signal in taken.select_related("taken_by"):
        wait = signal.taken_by
        if wait is not None and signal.consumed_version != wait.consumed_version:
            text = f"The signal {signal.name!r} was used by version {signal.consumed_version}, its wait by another."
            yield Problem(item=wait.work_item_id, code="signal", text=text)
