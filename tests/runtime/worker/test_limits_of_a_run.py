"""How many steps and how much time a run may take over its whole life: retries, pauses, deaths, redrives."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.asks import Approval
from runtime.choices import EventKind, Reason, State
from runtime.engine import Continue, Engine, Item, Snapshot, WaitFor
from runtime.exceptions import Conflict, RetryableError
from runtime.models import Event, WorkItem
from runtime.operations.approve import approve
from runtime.operations.enqueue import enqueue
from runtime.operations.redrive import redrive
from runtime.operations.resume import resume
from runtime.step import StepContext
from runtime.store import get_store
from runtime.testing import advance, drain
from tests.contracts.builders import Hand

pytestmark = pytest.mark.django_db


class Endless(Engine):
    """Counts on for ever; the first attempt of every step fails where the payload says so."""

    def init_snapshot(self, item: Item) -> Any:
        return 0

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        if item.payload == "flaky" and ctx.attempt == 1:
            raise RetryableError("not the first time")
        return Continue(snapshot.data + 1)


class Atomic(Endless):
    """The same in the atomic lane."""

    def step(self, snapshot: Snapshot, item: Item) -> Any:  # type: ignore[override]
        return Continue(snapshot.data + 1)


class Asking(Engine):
    """Waits for an approval between its steps, and tells how many steps it has made."""

    def init_snapshot(self, item: Item) -> Any:
        return 0

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return WaitFor([Approval(f"go {snapshot.data}")], state=snapshot.data + 1)


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the engines of this file."""
    settings.ROOST_ENGINES = {name.lower(): f"{__name__}.{name}" for name in ("Endless", "Atomic", "Asking")}


def look(item: WorkItem) -> WorkItem:
    return WorkItem.objects.get(pk=item.pk)


@pytest.mark.parametrize("engine", ["endless", "atomic"])
def test_an_item_pauses_after_its_steps_and_again_after_those_it_is_given(engine: str) -> None:
    item = enqueue(engine, pause_after=3)
    assert drain() == 3
    assert (look(item).state, look(item).reason, look(item).version) == (State.PAUSED, Reason.STEP_QUOTA, 3)
    resume(item.pk, steps=2)
    assert drain() == 2
    assert (look(item).state, look(item).version) == (State.PAUSED, 5)
    resume(item.pk)
    assert drain(max_steps=4) == 4
    assert look(item).version == 9


@pytest.mark.scenario("L10")
def test_max_steps_holds_over_failures_a_pause_a_death_and_a_redrive() -> None:
    item = enqueue("endless", "flaky", max_steps=6, pause_after=2)
    drain(skip_delays=True)
    assert (look(item).state, look(item).steps_total) == (State.PAUSED, 2)
    resume(item.pk)
    drain(skip_delays=True, max_steps=2)
    mortal = Hand()
    with advance(60):
        mortal.commit(mortal.take(), data="4", initial=None)
        assert mortal.die().recovered == 1
    drain(skip_delays=True)
    ended = look(item)
    assert (ended.state, ended.reason, ended.steps_total, ended.version) == (State.FAILED, Reason.MAX_STEPS, 6, 6)
    assert ended.deaths == 0
    assert Event.objects.filter(work_item=item, kind=EventKind.STEP).count() == 6
    with pytest.raises(Conflict, match="6 of 6 steps"):
        redrive(item.pk)
    redrive(item.pk, from_version=1, max_steps=8)
    drain(skip_delays=True)
    ended = look(item)
    assert (ended.state, ended.reason, ended.steps_total) == (State.FAILED, Reason.MAX_STEPS, 8)


@pytest.mark.scenario("B20")
def test_a_pause_for_the_step_quota_takes_no_time_from_the_timeout() -> None:
    item = enqueue("endless", item_timeout=60, pause_after=1)
    drain()
    before = look(item).timeout_at
    assert before is not None
    with advance(3600):
        get_store().sweep(batch=100)
        assert look(item).state == State.PAUSED
        resume(item.pk, steps=1)
        after = look(item).timeout_at
        assert after is not None
        assert (after - before).total_seconds() == pytest.approx(3600, abs=30)
        assert drain() == 1
    assert look(item).state == State.PAUSED


@pytest.mark.scenario("S5")
def test_a_step_that_uses_up_the_quota_and_asks_is_paused_and_waits_once_it_is_resumed() -> None:
    item = enqueue("asking", pause_after=2)
    drain()
    assert look(item).state == State.WAITING
    approve(item.pk, actor="ann")
    drain()
    paused = look(item)
    assert (paused.state, paused.reason, paused.paused_from) == (State.PAUSED, Reason.STEP_QUOTA, State.WAITING)
    resume(item.pk, steps=1)
    assert (look(item).state, look(item).reason) == (State.WAITING, Reason.APPROVAL)
    approve(item.pk, actor="ann")
    drain()
    assert (look(item).state, look(item).version) == (State.PAUSED, 3)


@pytest.mark.scenario("S5")
def test_an_answer_that_comes_while_the_item_is_paused_for_its_steps_is_kept() -> None:
    item = enqueue("asking", pause_after=1)
    drain()
    approve(item.pk, actor="ann")
    assert look(item).state == State.PAUSED
    resume(item.pk)
    assert look(item).state == State.QUEUED
    drain()
    assert (look(item).state, look(item).version) == (State.WAITING, 2)


@pytest.mark.scenario("L10")
def test_max_steps_counts_the_steps_on_both_sides_of_a_wait() -> None:
    item = enqueue("asking", max_steps=3)
    for _ in range(2):
        drain()
        assert look(item).state == State.WAITING
        approve(item.pk, actor="ann")
    drain()
    ended = look(item)
    assert (ended.state, ended.reason, ended.steps_total) == (State.FAILED, Reason.MAX_STEPS, 3)


@pytest.mark.scenario("B20")
def test_waiting_for_people_takes_no_time_from_the_timeout() -> None:
    item = enqueue("asking", item_timeout=60)
    drain()
    with advance(3600):
        get_store().sweep(batch=100)
        assert look(item).state == State.WAITING
        approve(item.pk, actor="ann")
        drain()
        assert (look(item).state, look(item).version) == (State.WAITING, 2)
