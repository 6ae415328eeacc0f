"""The engine contract: what a step gets and what it may return."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from runtime.engine import Complete, Continue, Engine, FunctionEngine, Item, Snapshot, Wait, engine, takes
from runtime.exceptions import Cancelled, InvalidInput, RoostError
from runtime.retry import RetryPolicy
from runtime.step import StepContext, current_context
from runtime.testing import RecordingContext, make_item, run_step

POLICY = RetryPolicy(max_attempts=2, base=1, cap=1, jitter=0)


class Countdown(Engine):
    """The example of the module's docstring."""

    def init_snapshot(self, item: Item) -> Any:
        return {"left": item.payload["from"]}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        left = snapshot.data["left"] - 1
        return Complete("lift-off") if left <= 0 else Continue({"left": left}, delay=1)


class Awaiting(Countdown):
    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        return snapshot.next({"left": 0}, label="done")


def test_the_example_of_the_contract_counts_down() -> None:
    assert run_step(Countdown(), {"from": 2}) == Continue({"left": 1}, delay=1)
    assert run_step(Countdown(), {"from": 1}) == Complete("lift-off")


def test_an_engine_with_nothing_but_its_two_methods_has_sensible_terms() -> None:
    plain = Countdown()
    assert (plain.version, plain.retry, plain.step_timeout, plain.config()) == ("1", None, None, None)
    plain.check_payload(object())


def test_an_engine_without_a_step_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Engine()  # type: ignore[abstract]


def test_the_lane_follows_from_the_step() -> None:
    assert not Countdown().is_async
    assert Awaiting().is_async


def test_the_next_snapshot_keeps_the_version_and_forgets_the_end() -> None:
    ended = Snapshot(data={"a": 1}, version=3, finished=True, result=9, delay=4)
    assert ended.next({"a": 2}, label="two", delay=5) == Snapshot(data={"a": 2}, version=3, label="two", delay=5)


def test_the_last_snapshot_keeps_the_state_unless_told_otherwise() -> None:
    before = Snapshot(data={"a": 1}, version=3, delay=4)
    assert before.finish("result") == Snapshot(data={"a": 1}, version=3, finished=True, result="result")
    assert before.finish(data={"a": 2}).data == {"a": 2}


def test_a_completion_knows_whether_it_brings_a_state() -> None:
    assert Complete(1).keeps_state
    assert not Complete(1, None).keeps_state
    assert not Complete(state={"a": 1}).keeps_state


@pytest.mark.parametrize(
    ("value", "name"),
    [(Snapshot(data=1), "data"), (Continue(1), "state"), (Complete(1), "result"), (Wait(1), "seconds")],
)
def test_decisions_cannot_be_changed(value: Any, name: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, 2)


# Engines made of functions ------------------------------------------------------------------------------------------


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


@engine(version="7", retry=POLICY, step_timeout=3.5, payload_schema=SCHEMA, init=lambda item: {"n": item.payload["n"]})
def with_terms(state: dict[str, int]) -> Continue:
    return Continue({"n": state["n"] + 1})


@engine()
async def asking(state: Any, ctx: StepContext) -> Complete:
    return Complete({"state": state, "attempt": ctx.attempt})


def test_a_function_becomes_an_engine_with_its_terms() -> None:
    assert isinstance(with_terms, FunctionEngine)
    assert isinstance(asking, FunctionEngine)
    assert (with_terms.version, with_terms.retry, with_terms.step_timeout) == ("7", POLICY, 3.5)
    assert (with_terms.payload_schema, asking.payload_schema) == (SCHEMA, None)
    assert not with_terms.is_async
    assert run_step(with_terms, {"n": 1}) == Continue({"n": 2})


def refuses_zero(payload: Any) -> None:
    if payload == 0:
        raise InvalidInput("0 is nothing to begin with.")


@engine(config={"model": "small"}, check_payload=refuses_zero)
def configured(state: Any, ctx: StepContext) -> Complete:
    return Complete([state, ctx.item.payload, ctx.item.config, ctx.item.engine])


def test_a_function_has_a_configuration_and_checks_payloads() -> None:
    assert (configured.config(), asking.config()) == ({"model": "small"}, None)
    sizes = iter(["small", "large"])
    asked = engine(config=lambda: {"model": next(sizes)})(lambda state: Complete())
    assert [asked.config(), asked.config()] == [{"model": "small"}, {"model": "large"}]
    with pytest.raises(InvalidInput, match="nothing"):
        configured.check_payload(0)
    configured.check_payload(1)
    asking.check_payload(object())


def test_a_function_reads_its_item_of_the_context() -> None:
    item = make_item(7, config={"model": "large"}, engine="configured")
    assert run_step(configured, item=item) == Complete([7, 7, {"model": "large"}, "configured"])
    assert run_step(configured, 8) == Complete([8, 8, None, "test"])


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match="versoin"):
        engine(versoin="7")(lambda state: Complete())  # type: ignore[call-arg]


def test_a_function_that_takes_two_arguments_gets_the_context_and_starts_from_the_payload() -> None:
    assert asking.is_async
    context = RecordingContext(attempt=4)
    assert run_step(asking, {"a": 1}, context=context) == Complete({"state": {"a": 1}, "attempt": 4})


def test_the_context_is_at_hand_inside_a_step_and_nowhere_else() -> None:
    seen: list[StepContext] = []

    @engine()
    def looking(state: Any) -> Complete:
        seen.append(current_context())
        return Complete()

    context = RecordingContext()
    run_step(looking, context=context)
    assert seen == [context]
    with pytest.raises(RoostError, match="outside a step"):
        current_context()


def test_a_cancelled_step_is_told_when_it_asks() -> None:
    RecordingContext().raise_if_cancelled()
    with pytest.raises(Cancelled):
        RecordingContext(is_cancelled=True).raise_if_cancelled()


@pytest.mark.parametrize(
    ("function", "count", "answer"),
    [
        (lambda a: a, 1, True),
        (lambda a: a, 2, False),
        (lambda a, b=1: a, 2, True),
        (lambda *a: a, 5, True),
        (lambda a, *, b: a, 1, False),
        (lambda a, b: a, 1, False),
        (Countdown().step, 2, True),
        (Countdown().step, 3, False),
    ],
)
def test_how_many_arguments_a_step_takes_is_read_from_its_signature(function: Any, count: int, answer: bool) -> None:
    assert takes(function, count) is answer
