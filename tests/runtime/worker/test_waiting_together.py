"""Several things at once: calls beside questions, questions in a task group, children from step to step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from runtime.asks import Approval, AwaitChildren, AwaitSignal
from runtime.choices import State
from runtime.engine import Complete, Engine, Item, Snapshot, WaitFor
from runtime.models import JournalEntry, Signal, Wait, WorkItem
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.redrive import redrive
from runtime.operations.requeue import requeue
from runtime.operations.signal import send_signal
from runtime.queries.explain import explain
from runtime.queries.telling import sentences
from runtime.step import StepContext
from runtime.testing import drain
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db

charged: list[int] = []


async def charge() -> int:
    """Take a moment, as a call does."""
    await asyncio.sleep(0.05)
    charged.append(1)
    return len(charged)


def say_yes(key: str) -> None:
    """Answer a question, as somebody may at any time."""
    approve(Wait.objects.get(key=key).work_item_id, key, actor="bea")


class Together(Engine):
    """Does what its payload says."""

    def init_snapshot(self, item: Item) -> Any:
        return {"round": 0}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        done: Any = await getattr(self, item.payload)(snapshot, ctx)
        return done

    async def beside(self, snapshot: Snapshot, ctx: StepContext) -> Any:
        async def ask() -> Any:
            return ctx.ask(Approval("refund"))

        paid, _answer = await asyncio.gather(ctx.run("charge", charge), ask())
        return Complete(paid)

    async def group(self, snapshot: Snapshot, ctx: StepContext) -> Any:
        async def ask(key: str) -> bool:
            return ctx.ask(Approval(key)).approved

        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(ask(key)) for key in ("one", "two")]
        return Complete([one.result() for one in asked])

    async def broken(self, snapshot: Snapshot, ctx: StepContext) -> Any:
        async def ask() -> Any:
            return ctx.ask(Approval("one"))

        async def fail() -> None:
            raise ValueError("broken")

        async with asyncio.TaskGroup() as group:
            group.create_task(ask())
            group.create_task(fail())

    async def rounds(self, snapshot: Snapshot, ctx: StepContext) -> Any:
        number = snapshot.data["round"]
        if number == 2:
            return Complete(number)
        child = ctx.spawn("counter", {"count_to": 1})
        return WaitFor([AwaitChildren("kids", [child])], state={"round": number + 1})

    async def signal(self, snapshot: Snapshot, ctx: StepContext) -> Any:
        return Complete(ctx.ask(AwaitSignal("go")).value)

    async def either(self, snapshot: Snapshot, ctx: StepContext) -> Any:
        found = ctx.ask(Approval("one"), Approval("two"), mode="any")
        await sync_to_async(say_yes)("two")
        return Complete(sorted(found))

    async def children(self, snapshot: Snapshot, ctx: StepContext) -> Any:
        return Complete(len(ctx.ask(AwaitChildren("kids")).value))


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register them."""
    settings.ROOST_ENGINES = {"together": f"{__name__}.Together", "counter": "engines.counter.Counter"}
    charged.clear()


def begun(payload: str) -> WorkItem:
    """Return an item that has run as far as it gets."""
    item = enqueue("together", payload)
    drain()
    item.refresh_from_db()
    return item


def ended(item: WorkItem) -> Any:
    """Run what is due; return the result of the item, which must be done."""
    drain()
    item.refresh_from_db()
    assert item.state == State.DONE, item.last_error
    return item.result


@pytest.mark.scenario("S1", "S6")
def test_a_call_beside_a_question_is_recorded_before_its_item_waits() -> None:
    item = begun("beside")
    assert item.state == State.WAITING
    assert JournalEntry.objects.get(work_item=item).state == "succeeded"
    approve(item.pk, actor="ann")
    assert ended(item) == 1
    assert charged == [1]


@pytest.mark.scenario("S6")
def test_the_tasks_of_a_group_ask_at_once() -> None:
    item = begun("group")
    assert set(Wait.objects.filter(work_item=item, state="open").values_list("key", flat=True)) == {"one", "two"}
    approve(item.pk, "one", actor="ann")
    drain()
    approve(item.pk, "two", actor="ann")
    assert ended(item) == [True, True]


def test_a_group_of_which_one_task_fails_has_failed() -> None:
    item = begun("broken")
    assert (item.state, item.attempt) == (State.QUEUED, 1)
    assert not Wait.objects.exists()


@pytest.mark.scenario("S8")
def test_a_step_consumes_the_answers_that_it_was_handed_and_no_later_one() -> None:
    item = begun("either")
    say_yes("one")
    assert ended(item) == ["one"]
    assert dict(Wait.objects.values_list("key", "state")) == {"one": "consumed", "two": "withdrawn"}
    assert item.events.latest("seq").data == {"key": "two", "by": "bea", "unused": True}
    assert "too late: the step ran without it" in "\n".join(line for _, line in sentences(explain(item)))


@pytest.mark.scenario("L33")
def test_each_step_spawns_children_of_its_own() -> None:
    item = begun("rounds")
    assert ended(item) == 2
    assert WorkItem.objects.filter(parent=item).count() == 2


@pytest.mark.scenario("S7")
@pytest.mark.parametrize("back", [requeue, redrive], ids=["requeued", "redriven"])
def test_an_item_brought_back_takes_the_signal_that_came_while_it_had_ended(back: Callable[..., Any]) -> None:
    item = begun("signal")
    if back is requeue:
        cancel(item.pk)
    else:
        WorkItem.objects.filter(pk=item.pk).update(state=State.FAILED, reason="forced")
        Wait.objects.filter(work_item=item).update(state="withdrawn")
    send_signal("go", 7)
    assert Signal.objects.filter(taken_by=None).exists()
    assert back(item.pk).state == State.QUEUED
    assert ended(item) == 7


def test_what_a_trigger_enqueued_is_not_waited_for() -> None:
    item = enqueue("together", "children")
    WorkItemFactory(parent=item, relation="trigger")
    drain()
    assert ended(item) == 0
