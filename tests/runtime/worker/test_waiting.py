"""What a step asks for: the item waits without a worker, and the answer comes back to the step, in both lanes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.asks import Approval, AwaitChildren, AwaitSignal, Input, Timer
from runtime.choices import EventKind, Reason, State, WaitState
from runtime.engine import Complete, Continue, Engine, Item, Snapshot, WaitFor
from runtime.exceptions import Conflict
from runtime.models import Artifact, Event, Lease, Signal, Wait, WorkItem
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.pause import pause
from runtime.operations.reject import reject
from runtime.operations.respond import respond
from runtime.operations.resume import resume
from runtime.operations.signal import send_signal
from runtime.step import StepContext
from runtime.testing import advance, drain
from tests.ledger.models import Entry

pytestmark = pytest.mark.django_db

seen: list[str] = []


class Asking(Engine):
    """Asks for what its payload says, in one step, and ends with the answers."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return asking(item, ctx)


class AsyncAsking(Asking):
    """The same in the async lane."""

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:  # type: ignore[override]
        return asking(item, ctx)


def asking(item: Item, ctx: StepContext) -> Any:
    """Do what the payload says."""
    script: dict[str, Callable[[StepContext], Any]] = {
        "approval": lambda ctx: ctx.ask(Approval("refund", prompt="Refund?")),
        "fail when rejected": lambda ctx: ctx.ask(Approval("refund", on_reject="fail")),
        "default": lambda ctx: ctx.ask(Approval("refund", expires_in=60, default=True)),
        "impatient": lambda ctx: ctx.ask(Approval("refund", expires_in=60)),
        "two at once": lambda ctx: ctx.ask(Approval("one"), Approval("two")),
        "either": lambda ctx: ctx.ask(Approval("one"), Timer("an hour", 3600), mode="any"),
        "two in turn": lambda ctx: [ctx.ask(Approval("one")), ctx.ask(Approval("two"))],
        "signal": lambda ctx: ctx.ask(AwaitSignal("go")),
        "timer": lambda ctx: ctx.ask(Timer("an hour", 3600)),
        "nonsense": lambda ctx: ctx.ask(Approval("one"), Approval("one")),
    }
    seen.append(f"{item.payload} {sorted(ctx.answers)}")
    found = script[item.payload](ctx)
    return Complete(repr(found))


class Proposing(Engine):
    """Makes an artifact, spawns a child, asks for its end and for an approval, and writes a row."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        Entry.objects.create(item=item.id, number=snapshot.version, pid=0)
        ctx.artifact("plan.txt", f"attempt {len(ctx.answers)}")
        child = ctx.spawn("counter", {"count_to": 1})
        ctx.ask(AwaitChildren("kids", [child]))
        ctx.ask(Approval("plan"))
        return Complete(str(child))


class Staged(Engine):
    """Commits a state and waits from there; its next step reads the answer."""

    async def init_snapshot(self, item: Item) -> Any:
        return {"asked": False}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        if not snapshot.data["asked"]:
            return WaitFor([Input("name", schema={"type": "string"})], state={"asked": True}, label="ask")
        if "done" in snapshot.data:
            return Complete(sorted(ctx.answers))
        return Continue({"asked": True, "done": ctx.answers["name"].value})


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register these engines."""
    here = __name__
    settings.ROOST_ENGINES = {
        "asking": f"{here}.Asking",
        "async": f"{here}.AsyncAsking",
        "proposing": f"{here}.Proposing",
        "staged": f"{here}.Staged",
        "counter": "engines.counter.Counter",
    }
    seen.clear()


both_lanes = pytest.mark.parametrize("lane", ["asking", "async"])


def parked(engine: str, payload: Any = None, **more: Any) -> WorkItem:
    """Return an item of the engine that has run into its first wait."""
    item = enqueue(engine, payload, **more)
    drain()
    found = again(item)
    assert found.state != State.FAILED or payload == "nonsense", found.last_error
    return found


def again(item: WorkItem) -> WorkItem:
    """Read the item anew, its history without a gap."""
    found: WorkItem = WorkItem.objects.get(pk=item.pk)
    seqs = list(Event.objects.filter(work_item=item.pk).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, found.event_seq + 1))
    return found


def ended(item: WorkItem) -> WorkItem:
    """Run what is due and return the item, which must be done."""
    drain()
    found = again(item)
    assert found.state == State.DONE, found.last_error
    return found


def kinds(item: WorkItem) -> list[str]:
    """Return the kinds of the item's events."""
    return list(Event.objects.filter(work_item=item.pk).order_by("seq").values_list("kind", flat=True))


@both_lanes
@pytest.mark.scenario("S5", "L23")
def test_a_step_that_asks_waits_without_a_worker_and_goes_on_when_approved(lane: str) -> None:
    item = parked(lane, "approval")
    assert (item.state, item.reason, item.version, item.asked) == (State.WAITING, Reason.APPROVAL, 0, True)
    assert not Lease.objects.exists()
    moved = approve(item.pk, actor="ann", reason="fine")
    assert (moved.state, moved.reason) == (State.QUEUED, Reason.ANSWERED)
    done = ended(item)
    assert "by='ann'" in done.result
    assert "reason='fine'" in done.result
    assert (done.version, done.asked, done.attempt) == (1, False, 0)
    assert kinds(item) == ["enqueued", "claimed", "asked", "approved", "woken", "claimed", "step", "done"]
    wait = Wait.objects.get(work_item=item.pk)
    assert (wait.state, wait.consumed_version, wait.resolution) == (WaitState.CONSUMED, 1, True)


@both_lanes
@pytest.mark.scenario("S5")
def test_a_rejection_is_an_answer_or_the_end(lane: str) -> None:
    item = parked(lane, "approval")
    reject(item.pk, actor="ann", reason="too much")
    assert "value=False" in ended(item).result
    item = parked(lane, "fail when rejected")
    failed = reject(item.pk, actor="ann", reason="100% too much")
    assert (failed.state, failed.reason) == (State.FAILED, Reason.REJECTED)
    assert failed.last_error["message"] == "refund was rejected by ann: 100% too much"
    assert failed.finished_at is not None


@both_lanes
@pytest.mark.scenario("S5")
def test_nobody_answers_in_time(lane: str) -> None:
    default, impatient = parked(lane, "default"), parked(lane, "impatient")
    with advance(61):
        assert "expired=True" in ended(default).result
        failed = again(impatient)
        assert (failed.state, failed.reason) == (State.FAILED, Reason.WAIT_EXPIRED)
        with pytest.raises(Conflict) as caught:
            approve(impatient.pk)
        assert caught.value.state == State.FAILED


@pytest.mark.scenario("S5")
def test_cancelling_a_waiting_item_withdraws_what_it_asks() -> None:
    item = parked("asking", "approval")
    assert cancel(item.pk).state == State.CANCELLED
    assert Wait.objects.get().state == WaitState.WITHDRAWN
    with pytest.raises(Conflict, match="cancelled"):
        approve(item.pk)


@both_lanes
@pytest.mark.scenario("S6")
def test_answering_one_of_two_approvals_does_not_ask_for_the_other_again(lane: str) -> None:
    item = parked(lane, "two at once")
    assert approve(item.pk, "two").state == State.WAITING
    assert seen == ["two at once []"]
    assert Wait.objects.filter(state=WaitState.OPEN).count() == 1
    approve(item.pk)
    ended(item)
    assert seen == ["two at once []", "two at once ['one', 'two']"]


@both_lanes
@pytest.mark.scenario("S6")
def test_a_second_question_keeps_the_answer_to_the_first(lane: str) -> None:
    item = parked(lane, "two in turn")
    approve(item.pk, "one")
    drain()
    assert again(item).state == State.WAITING
    assert Wait.objects.get(key="one").needed == ""
    approve(item.pk, "two")
    ended(item)
    assert [wait.state for wait in Wait.objects.all()] == [WaitState.CONSUMED] * 2


@both_lanes
def test_any_one_of_several_is_enough_and_the_rest_is_withdrawn(lane: str) -> None:
    item = parked(lane, "either")
    with advance(3601):
        assert "'an hour'" in ended(item).result
    assert Wait.objects.get(key="one").state == WaitState.WITHDRAWN
    item = parked(lane, "either")
    approve(item.pk, "one")
    assert "'one'" in ended(item).result


@both_lanes
def test_a_timer_rings_when_its_time_has_come(lane: str) -> None:
    item = parked(lane, "timer")
    assert (item.state, item.reason) == (State.WAITING, Reason.TIMER)
    assert drain() == 0
    assert drain(skip_delays=True) == 1
    assert again(item).state == State.DONE


@both_lanes
def test_what_cannot_be_asked_fails_the_step_for_good(lane: str) -> None:
    item = parked(lane, "nonsense")
    assert (item.state, item.reason) == (State.FAILED, Reason.PERMANENT_ERROR)
    assert "asked for 2 times" in item.last_error["message"]


@both_lanes
@pytest.mark.scenario("S7")
def test_a_signal_may_come_first_or_last(lane: str) -> None:
    early = enqueue(lane, "signal")
    send_signal("go", {"n": 1}, item=early.pk)
    assert "{'n': 1}" in ended(early).result
    assert kinds(early)[2:6] == ["asked", "signalled", "woken", "claimed"]
    late = parked(lane, "signal")
    send_signal("go", {"n": 2}, item=late.pk)
    assert "{'n': 2}" in ended(late).result
    assert list(Signal.objects.values_list("consumed_version", flat=True)) == [1, 1]


@pytest.mark.scenario("S5")
def test_an_answer_while_paused_is_kept() -> None:
    item = parked("asking", "approval")
    pause(item.pk)
    assert approve(item.pk, actor="ann").state == State.PAUSED
    moved = resume(item.pk)
    assert (moved.state, moved.reason) == (State.QUEUED, Reason.ANSWERED)
    assert "by='ann'" in ended(item).result


@pytest.mark.scenario("S5")
def test_resuming_without_an_answer_leads_back_to_waiting() -> None:
    item = parked("asking", "approval")
    pause(item.pk)
    moved = resume(item.pk)
    assert (moved.state, moved.reason, moved.paused_from) == (State.WAITING, Reason.APPROVAL, "")


@pytest.mark.scenario("S5")
def test_patience_that_ends_while_paused_fails_the_item_when_it_is_resumed() -> None:
    item = parked("asking", "impatient")
    pause(item.pk)
    with advance(61):
        drain()
        assert again(item).state == State.PAUSED
        moved = resume(item.pk)
    assert (moved.state, moved.reason) == (State.FAILED, Reason.WAIT_EXPIRED)


@pytest.mark.scenario("S8", "B20")
def test_waiting_time_does_not_count_into_the_item_timeout() -> None:
    item = parked("asking", "approval", item_timeout=100)
    before = item.timeout_at
    with advance(1000):
        approve(item.pk)
        found = again(item)
        assert found.timeout_at is not None
        assert before is not None
        assert 990 < (found.timeout_at - before).total_seconds() < 1010
        assert found.away_total > 990
        ended(item)


def test_what_a_step_makes_before_it_asks_is_there_once() -> None:
    item = enqueue("proposing")
    drain(engines=["proposing"])
    assert again(item).state == State.WAITING
    assert not Entry.objects.exists()
    child = WorkItem.objects.get(parent=item.pk)
    assert Artifact.objects.get().version == 1
    drain()
    assert again(child).state == State.DONE
    assert (again(item).state, again(item).reason) == (State.WAITING, Reason.APPROVAL)
    approve(item.pk)
    assert ended(item).result == str(child.pk)
    assert WorkItem.objects.count() == 2
    assert Entry.objects.count() == 1
    assert Artifact.objects.get().version == 1


def test_a_step_may_commit_its_state_and_let_the_next_one_read_the_answer() -> None:
    item = parked("staged")
    assert (item.state, item.version, item.step_label) == (State.WAITING, 1, "ask")
    respond(item.pk, "name", "Ann")
    done = ended(item)
    assert (done.result, done.version) == ([], 3)
    assert Wait.objects.get().consumed_version == 2


@pytest.mark.scenario("S8")
def test_an_answer_is_not_seen_by_a_later_step() -> None:
    item = parked("staged")
    respond(item.pk, value="Ann")
    with pytest.raises(Conflict, match="answered already"):
        respond(item.pk, value="Bea")
    assert ended(item).result == []
    assert kinds(item).count(EventKind.ANSWERED) == 1
