"""What a step returns, and what Roost makes of it."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from typing import Any

import pytest

from runtime.choices import State
from runtime.engine import Complete, Continue, Item, Snapshot, Wait
from runtime.step import StepContext
from runtime.worker import outcomes
from runtime.worker.run import Run
from tests.runtime.worker.stepping import Stub, claimed, error_of, outcome_of


def test_continue_keeps_the_lease_and_makes_a_version() -> None:
    outcome = outcome_of(lambda snapshot, item, ctx: Continue({"n": 1}))
    assert (outcome.state, outcome.advance, outcome.data) == (State.RUNNING, True, '{"n":1}')
    assert outcome.initial == '{"n":0}'
    assert [event.kind for event in outcome.events] == ["step"]
    assert outcome.events[0].duration == outcome.duration > 0


def test_continue_with_a_delay_goes_back_to_the_queue() -> None:
    outcome = outcome_of(lambda snapshot, item, ctx: Continue({"n": 1}, delay=5, label="first"))
    assert (outcome.state, outcome.reason, outcome.delay, outcome.label) == (State.QUEUED, "delay", 5.0, "first")


@pytest.mark.scenario("L2")
def test_complete_ends_the_item_with_its_result_and_keeps_the_state() -> None:
    outcome = outcome_of(lambda snapshot, item, ctx: Complete([1, 2]), data='{"n": 7}', version=7)
    assert (outcome.state, outcome.advance, outcome.result, outcome.data) == (State.DONE, True, "[1,2]", '{"n":7}')
    assert outcome.initial is None


def test_a_snapshot_may_be_returned_instead() -> None:
    assert outcome_of(lambda snapshot, item, ctx: snapshot.next({"n": 1})).state == State.RUNNING
    done = outcome_of(lambda snapshot, item, ctx: snapshot.finish("ok"))
    assert (done.state, done.result) == (State.DONE, '"ok"')


@pytest.mark.scenario("L23")
def test_a_step_that_only_waits_makes_no_version() -> None:
    outcome = outcome_of(lambda snapshot, item, ctx: Wait(3))
    assert (outcome.state, outcome.advance, outcome.data, outcome.delay) == (State.QUEUED, False, None, 3.0)
    assert [event.kind for event in outcome.events] == ["waited"]


@pytest.mark.scenario("S4")
@pytest.mark.parametrize("wrong", [None, {"n": 1}, 7, Continue])
def test_a_wrong_return_value_is_a_permanent_error_that_names_the_type(wrong: Any) -> None:
    outcome = outcome_of(lambda snapshot, item, ctx: wrong)
    error = error_of(outcome)
    assert (outcome.state, error["type"]) == (State.FAILED, "WrongOutcome")
    assert ("None" if wrong is None else type(wrong).__name__) in error["message"]


def test_a_step_that_changes_its_snapshot_fails_for_good() -> None:
    def mutates(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        snapshot.data["n"] += 1
        return Continue(snapshot.data)

    outcome = outcome_of(mutates)
    assert (outcome.state, error_of(outcome)["type"]) == (State.FAILED, "SnapshotMutated")


@pytest.mark.parametrize(
    "state", [{"x": math.nan}, {"x": {1, 2}}, {1: "x"}, {"x": "\x00"}, {"x": "\ud800"}, {"x": dt.datetime.now(dt.UTC)}]
)
def test_what_json_cannot_hold_fails_for_good_and_stores_nothing(state: Any) -> None:
    for step in (lambda s, i, c: Continue(state), lambda s, i, c: Complete(state)):
        outcome = outcome_of(step)
        assert (outcome.state, error_of(outcome)["type"]) == (State.FAILED, "UnstorableOutcome")
        assert outcome.data is None
        assert outcome.result is None


def test_a_first_state_that_json_cannot_hold_fails_for_good() -> None:
    outcome = outcome_of(lambda snapshot, item, ctx: Complete(), first={"x": math.inf})
    assert (outcome.state, error_of(outcome)["type"]) == (State.FAILED, "UnstorableOutcome")
    assert outcome.initial is None


@pytest.mark.parametrize("delay", [-1, math.inf, math.nan, "5", True])
def test_a_delay_that_is_no_time_fails_for_good(delay: Any) -> None:
    for decision in (Continue({}, delay=delay), Wait(delay)):
        outcome = outcome_of(lambda snapshot, item, ctx, decision=decision: decision)
        assert (outcome.state, error_of(outcome)["type"]) == (State.FAILED, "WrongOutcome")


@pytest.mark.scenario("L10")
def test_the_step_limit_counts_over_the_whole_life_and_keeps_the_last_state() -> None:
    outcome = outcome_of(lambda s, i, c: Continue({"n": 5}), max_steps=5, steps_total=4, version=4, data='{"n":4}')
    assert (outcome.state, outcome.reason, outcome.advance, outcome.data) == ("failed", "max_steps", True, '{"n":5}')
    done = outcome_of(lambda s, i, c: Complete(), max_steps=5, steps_total=4, version=4, data='{"n":4}')
    assert done.state == State.DONE


@pytest.mark.scenario("L30")
def test_an_item_past_its_deadline_ends_with_the_step_that_was_running_and_keeps_its_state() -> None:
    moment = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    before = claimed(claimed_at=moment, deadline_at=moment + dt.timedelta(seconds=60))
    after = claimed(claimed_at=moment, deadline_at=moment)
    run, late = Run(before, Stub(lambda s, i, c: None)), Run(after, Stub(lambda s, i, c: None))
    assert (run.is_overdue, late.is_overdue, Run(claimed(), late.engine).is_overdue) == (False, True, False)
    step = outcome_of(lambda s, i, c: Continue({"n": 1}))
    ended = outcomes.overdue(step)
    assert (ended.state, ended.reason, ended.advance, ended.data) == (State.FAILED, "deadline", True, '{"n":1}')
    assert [event.kind for event in ended.events] == ["step", "failed"]
    done = outcome_of(lambda s, i, c: Complete(1))
    assert outcomes.overdue(done) is done


def test_what_a_step_stages_goes_with_its_outcome_only() -> None:
    def logs(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        ctx.log("looked", level="warning", count=3)
        if item.payload.get("fail"):
            raise ValueError
        return Continue({"n": 1})

    outcome = outcome_of(logs)
    assert [event.kind for event in outcome.events] == ["log", "step"]
    assert json.loads(outcome.events[0].data or "") == {"message": "looked", "level": "warning", "count": 3}
    assert [event.kind for event in outcome_of(logs, payload='{"fail": true}').events] == ["retry"]


def test_the_idempotency_key_is_the_steps_own_and_the_same_for_each_attempt() -> None:
    seen: list[str] = []

    def notes(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        seen.append(ctx.idempotency_key)
        raise ValueError

    pk = uuid.uuid4()
    outcome_of(notes, id=pk)
    outcome_of(notes, id=pk, attempt=1)
    outcome_of(notes, id=pk, version=1, data='{"n": 1}')
    assert seen == [f"{pk}:1", f"{pk}:1", f"{pk}:2"]
    assert outcomes.leave(outcome_of(lambda s, i, c: Continue({}))).state == State.QUEUED
