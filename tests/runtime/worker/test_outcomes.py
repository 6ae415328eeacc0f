"""What a step returns or raises, and what Roost makes of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from runtime.choices import State
from runtime.engine import Complete, Continue, Engine, Fail, Item, Snapshot, Wait
from runtime.exceptions import Declined, InvalidInput, PermanentError, RetryableError
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from runtime.store.values import Claimed, Outcome
from runtime.worker import execute, outcomes
from runtime.worker.run import Run

WORKER = uuid.uuid4()
Step = Callable[[Snapshot, Item, StepContext], Any]


class Stub(Engine):
    """An async engine around one function."""

    retry = RetryPolicy(max_attempts=3, base=2, cap=60, jitter=0)

    def __init__(self, step: Step, first: Any = None) -> None:
        self._step = step
        self._first = {"n": 0} if first is None else first

    def init_snapshot(self, item: Item) -> Any:
        return self._first

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return self._step(snapshot, item, ctx)


def claimed(**changes: Any) -> Claimed:
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "namespace": "default",
        "engine": "stub",
        "engine_version": "1",
        "payload": "{}",
        "config": None,
        "priority": 0,
        "fair_key": "",
        "pool": "default",
        "resources": "[]",
        "limited": False,
        "epoch": 1,
        "version": 0,
        "state_schema": None,
        "attempt": 0,
        "max_attempts": 3,
        "deaths": 0,
        "step_label": "",
        "steps_total": 0,
        "max_steps": None,
        "step_timeout": None,
        "timeout_left": None,
        "parent_id": None,
        "created_at": dt.datetime.now(dt.UTC),
        "deadline_at": None,
        "claimed_at": dt.datetime.now(dt.UTC),
        "data": None,
    }
    return Claimed(**{**values, **changes})


def outcome_of(step: Step, first: Any = None, **changes: Any) -> Outcome:
    run = Run(claimed(**changes), Stub(step, first))
    return asyncio.run(execute.run_async(WORKER, run, "default"))


def error_of(outcome: Outcome) -> dict[str, Any]:
    assert outcome.error is not None
    error: dict[str, Any] = json.loads(outcome.error)
    return error


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


@pytest.mark.scenario("L8")
def test_fail_and_permanent_errors_go_to_the_dead_letters_at_once() -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise PermanentError("no such customer", code="no_customer", details={"id": 7})

    for step in (raises, lambda snapshot, item, ctx: Fail("no such customer", "no_customer", {"id": 7})):
        outcome = outcome_of(step)
        assert (outcome.state, outcome.reason, outcome.advance) == (State.FAILED, "permanent_error", False)
        error = error_of(outcome)
        assert (error["code"], error["message"], error["details"]) == ("no_customer", "no such customer", {"id": 7})


def test_bad_input_to_the_context_fails_for_good() -> None:
    outcome = outcome_of(lambda snapshot, item, ctx: ctx.log("hello", level="loud"))
    assert (outcome.state, error_of(outcome)["type"]) == (State.FAILED, "InvalidInput")


@pytest.mark.scenario("L6")
def test_any_other_error_is_retried_with_growing_backoff() -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise ValueError(f"attempt {ctx.attempt}")

    first, second = outcome_of(raises), outcome_of(raises, attempt=1)
    assert [(one.state, one.reason, one.attempt, one.delay) for one in (first, second)] == [
        (State.QUEUED, "retry", 1, 2.0),
        (State.QUEUED, "retry", 2, 4.0),
    ]
    assert error_of(second)["message"] == "attempt 2"
    assert "Traceback" in error_of(second)["traceback"]
    assert first.fingerprint == second.fingerprint


@pytest.mark.scenario("L7")
def test_the_last_attempt_ends_in_the_dead_letters() -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise RetryableError("still down")

    outcome = outcome_of(raises, attempt=2)
    assert (outcome.state, outcome.reason, outcome.attempt) == (State.FAILED, "attempts_exhausted", 3)


def test_retry_after_replaces_the_backoff() -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise RetryableError("slow down", retry_after=17)

    assert outcome_of(raises).delay == 17.0


def test_an_error_may_bring_a_policy_of_its_own() -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise RetryableError("slow down", policy=RetryPolicy.fixed(90, 5))

    outcome = outcome_of(raises, attempt=3)
    assert (outcome.state, outcome.delay, outcome.attempt) == (State.QUEUED, 90.0, 4)
    last = outcome_of(raises, attempt=4)
    assert (last.state, last.reason) == (State.FAILED, "attempts_exhausted")


@pytest.mark.scenario("S3")
@pytest.mark.parametrize(
    ("error", "category", "reason"),
    [
        (TimeoutError("slow"), "transient", "retry"),
        (ValueError("odd"), "unknown", "retry"),
        (PermissionError("no"), "permission", "permanent_error"),
        (InvalidInput("wrong"), "validation", "permanent_error"),
        (Declined("closed"), "business", "permanent_error"),
    ],
)
def test_an_error_that_a_retry_cannot_mend_goes_to_the_dead_letters_at_once(
    error: Exception, category: str, reason: str
) -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise error

    outcome = outcome_of(raises)
    assert (outcome.reason, error_of(outcome)["category"]) == (reason, category)
    assert outcome.state == (State.QUEUED if reason == "retry" else State.FAILED)


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


def test_an_error_with_hostile_text_is_still_kept() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text for you")

    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise ValueError("a\x00b\ud800c") from Hostile()

    def raises_hostile(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise Hostile

    assert error_of(outcome_of(raises))["message"] == "a\ufffdb?c"
    assert "cannot be read" in error_of(outcome_of(raises_hostile))["message"]


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


@pytest.mark.scenario("L9")
def test_an_async_step_over_its_time_limit_is_a_step_timeout() -> None:
    class Slow(Stub):
        step_timeout = 0.05

        async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
            await asyncio.sleep(10)

    run = Run(claimed(), Slow(lambda s, i, c: None))
    outcome = asyncio.run(execute.run_async(WORKER, run, "default"))
    assert (outcome.state, error_of(outcome)["type"]) == (State.QUEUED, "StepTimeout")


def test_a_timeout_of_the_steps_own_is_an_ordinary_error() -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise TimeoutError("the service did not answer")

    assert error_of(outcome_of(raises))["type"] == "TimeoutError"


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
