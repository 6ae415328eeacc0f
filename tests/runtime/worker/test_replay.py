"""A dry replay makes a run's steps again from its record alone, and they are the same."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import transaction

from runtime.asks import Approval, AwaitChildren, AwaitSignal, Timer
from runtime.choices import EventKind, State
from runtime.exceptions import Declined, InvalidInput, RetryableError
from runtime.journal import CallPolicy
from runtime.models import Event, PrunedHistory, Snapshot, WorkItem
from runtime.operations.approve import approve
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.import_run import import_run
from runtime.operations.redrive import redrive
from runtime.operations.signal import send_signal
from runtime.queries import verify
from runtime.queries.export import export
from runtime.store import old_history
from runtime.testing import drain
from runtime.worker.replay.dry import replay
from tests.runtime.worker.calling import STEPS, Calling, note, put, read
from tests.runtime.worker.replaying import LANES, again, fails, in_lane, ran

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("calling"), pytest.mark.scenario("S11")]


@pytest.mark.parametrize("lane", LANES)
def test_a_run_is_the_same_again_and_its_calls_are_not_made(lane: str) -> None:
    item = ran(lane, in_lane(lane, ("one", note, 1), ("two", note, 2)), steps=3)
    assert (item.state, Calling.called) == (State.DONE, [1, 2] * 3)
    found = again(item)
    assert (found.same, found.steps, found.stopped, found.notes) == (True, 3, None, ())
    assert again(item, first=1, last=2).steps == 1


@pytest.mark.parametrize("lane", LANES)
def test_a_failed_run_stops_at_the_same_error(lane: str) -> None:
    def refuse() -> None:
        raise Declined("the account is closed", code="closed")

    item = ran(lane, in_lane(lane, ("pay", refuse)), steps=2)
    assert item.state == State.FAILED
    found = again(item)
    assert (found.same, found.steps) == (True, 1)
    assert found.stopped is not None
    assert (found.stopped["type"], found.stopped["code"]) == ("CallFailed", "closed")


@pytest.mark.parametrize("lane", LANES)
def test_attempts_that_failed_are_counted_and_a_call_that_may_pass_fails_again(lane: str) -> None:
    def down() -> None:
        raise RetryableError("down", code="down")

    passed = ran(lane, in_lane(lane, ("one", note, 1)), fails=2)
    assert (passed.state, again(passed).same) == (State.DONE, True)
    item = ran(lane, in_lane(lane, ("load", down), policy=CallPolicy(max_attempts=1)))
    assert item.state == State.FAILED
    found = again(item)
    assert found.same
    assert found.stopped is not None
    assert (found.stopped["type"], found.stopped["message"]) == ("RetryableError", "The call 'load' failed: down")


@pytest.mark.parametrize("lane", LANES)
def test_answers_children_and_files_are_those_that_were_recorded(lane: str) -> None:
    def step(ctx: Any, sha: str) -> Any:
        kids = [ctx.spawn(lane, {"does": "it", "child": True}) for _ in range(2)]
        ctx.ask(Timer("a moment", 5))
        yes = ctx.ask(Approval("really?"))
        more = ctx.spawn(lane, {"does": "it", "child": True})
        ended = ctx.ask(AwaitChildren("kids", kids))
        word = ctx.ask(AwaitSignal("word"))
        children = [str(kid) for kid in [*kids, more]]
        return [sha, yes.by, yes.reason, [kid["id"] for kid in ended.value], word.value, children]

    async def waits(ctx: Any) -> Any:
        sha = await ctx.aartifact("note.txt", "text", kind="report")
        return "kid" if ctx._run.item.payload.get("child") else step(ctx, sha)

    def calls(ctx: Any) -> Any:
        sha = ctx.artifact("note.txt", "text", kind="report")
        return "kid" if ctx._run.item.payload.get("child") else step(ctx, sha)

    item = put(lane, waits if lane == "async" else calls)
    drain(skip_delays=True)
    approve(item.pk, "really?", actor="ann", reason="of course")
    send_signal("word", {"go": 1}, item=item.pk)
    drain(skip_delays=True)
    assert read(item).state == State.DONE
    assert again(item).divergence is None


def test_a_snapshot_that_is_gone_is_left_out_and_said_so() -> None:
    item = ran("async", lambda ctx: ctx._run.version, steps=4)
    Snapshot.objects.filter(work_item=item, version=2).delete()
    found = again(item)
    assert (found.same, found.steps, [one.version for one in found.notes]) == (True, 2, [2, 3])
    Snapshot.objects.filter(work_item=item).exclude(version=4).delete()
    with pytest.raises(InvalidInput, match="Snapshot 1 is not kept"):
        replay(read(item))
    with pytest.raises(InvalidInput, match="cannot be replayed"):
        replay(read(item), first=2, last=9)


def test_a_restored_version_is_left_out_and_what_came_after_is_replayed() -> None:
    item = ran("async", lambda ctx: 1 if ctx._run.version < 2 else fails(ctx), steps=3)
    redrive(item.pk, from_version=1)
    STEPS["it"] = lambda ctx: 1
    drain(skip_delays=True)
    assert read(item).state == State.DONE
    found = again(item)
    assert (found.same, found.steps, [one.version for one in found.notes]) == (True, 4, [3])


def test_a_follow_up_is_replayed_with_its_input_and_a_fork_from_its_copied_state() -> None:
    item = ran("async", lambda ctx: [answer.value for answer in ctx.answers.values()])
    follow_up(item.pk, {"more": 1})
    drain(skip_delays=True)
    found = again(item)
    assert (read(item).version, found.same, found.steps) == (2, True, 2)
    made = fork(item.pk, version=1, state={"got": ["edited"]})
    drain(skip_delays=True)
    assert (read(made).state, again(made).divergence) == (State.DONE, None)


def test_a_run_that_something_else_ended_is_replayed_up_to_there() -> None:
    item = put("async", lambda ctx: 1, steps=5)
    WorkItem.objects.filter(pk=item.pk).update(max_steps=2)
    drain(skip_delays=True)
    found = again(item)
    assert (found.same, found.steps, found.stopped) == (True, 2, None)
    assert "max_steps" in found.notes[0].text


def test_another_version_of_the_item_is_what_the_step_sees() -> None:
    item = ran("async", lambda ctx: ctx._run.item.engine_version)
    assert again(item).same
    found = again(item, engine_version="9").divergence
    assert found is not None
    assert (found.recorded, found.produced) == ("1", "9")


def test_a_step_that_asked_to_be_run_again_later_is_left_out_when_it_does_so_again() -> None:
    from runtime.engine import Wait as Later

    looks: list[int] = []

    def look(ctx: Any) -> Any:
        looks.append(1)
        return Later(1) if len(looks) < 3 else 1

    item = ran("async", look)
    looks.clear()
    with pytest.raises(InvalidInput, match="waits for a time"):
        again(item)
    assert Event.objects.filter(work_item=item, kind=EventKind.WAITED).count() == 2


@pytest.mark.parametrize("lane", LANES)
def test_a_copy_of_a_failed_run_is_replayed_under_the_name_that_the_run_had(lane: str) -> None:
    def step(ctx: Any) -> Any:
        if ctx._run.version == 0:
            return [
                str(ctx._run.id),
                ctx.idempotency_key,
                ctx._run.item.namespace,
                str(ctx.spawn(lane, {"does": "it"})),
            ]
        answer = ctx.ask(Approval("pay", on_reject="answer"))
        raise Declined(f"{answer.by} said {answer.value} to {ctx._run.id}", code="declined")

    item = put(lane, step, steps=9)
    drain(skip_delays=True, max_steps=2)
    approve(item.pk, "pay", actor="ann")
    WorkItem.objects.filter(parent=item).update(state=State.CANCELLED)
    drain(skip_delays=True)
    assert read(item).state == State.FAILED
    first = import_run(export(item.pk), namespace="support")
    second = import_run(export(first.pk, redact=True), namespace="elsewhere")
    for copy in (item, first, second):
        found = again(copy)
        assert found.divergence is None
        assert found.stopped is not None
        assert found.stopped["message"] == f"ann said True to {item.pk}"
    assert verify.item(second.pk) == []
    assert [note.text for note in again(second).notes] == ["The run was redacted before it came here."]
    redrive(first.pk)
    drain(skip_delays=True)
    found = again(first)
    assert found.stopped is not None
    assert found.stopped["message"] == f"ann said True to {first.pk}"


@pytest.mark.parametrize("lane", LANES)
def test_wherever_the_history_was_cut_a_replay_says_so_and_does_not_diverge(lane: str) -> None:
    def step(ctx: Any) -> Any:
        if ctx._run.item.payload.get("child"):
            return "kid"
        kids = [ctx.spawn(lane, {"does": "it", "child": True}) for _ in range(2)]
        return [str(kid) for kid in kids] + [answer["id"] for answer in ctx.ask(AwaitChildren("kids", kids)).value]

    async def waits(ctx: Any) -> Any:
        return step(ctx)

    item = ran(lane, waits if lane == "async" else step, steps=3, fails=1)
    assert (item.state, again(item).steps) == (State.DONE, 3)
    made = set()
    for seq in range(1, item.event_seq):
        with transaction.atomic():
            Event.objects.filter(work_item=item, seq__lte=seq).update(created_at=item.created_at - dt.timedelta(1))
            assert old_history.trim("default", item.pk, item.created_at).events == seq
            assert verify.item(item.pk) == []
            if PrunedHistory.objects.get(pk=item.pk).steps_through >= 2:
                with pytest.raises(InvalidInput, match="has been pruned"):
                    again(item)
            else:
                found = again(item)
                assert found.divergence is None
                assert found.steps + sum("has been pruned" in note.text for note in found.notes) == 3
                made.add(found.steps)
            transaction.set_rollback(True)
    assert made == {1, 2}
