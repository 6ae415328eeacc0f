"""Products test steps that call tools without a database: calls are made once, and approvals are given beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime.engine import Complete, Engine, Item, Snapshot
from runtime.exceptions import Declined, InvalidInput
from runtime.step import StepContext, Suspend
from runtime.testing import RecordingContext, answer, run_step
from runtime.tools.scripted import scripted
from tests.runtime.tools import shop
from tests.runtime.tools.shop import Atomic, Calling, tools


@pytest.fixture(autouse=True)
def made() -> Iterator[list[tuple[str, Any]]]:
    """Return the calls that were made."""
    shop.made.clear()
    yield shop.made
    shop.made.clear()


ARGUMENTS = {"order": 7, "amount": 500}


@pytest.mark.parametrize("engine", [Calling(), Atomic()])
def test_a_step_under_test_calls_tools(engine: Engine, made: Any) -> None:
    decision = run_step(engine, {"calls": [["look_up", {"name": "ann"}], ["nothing", {}]]})
    assert isinstance(decision, Complete)
    assert [result["success"] for result in decision.result] == [True, False]
    assert made == [("look_up", "ann")]


def test_an_approval_is_given_by_its_key(made: Any) -> None:
    payload = {"calls": [["refund", ARGUMENTS]]}
    with pytest.raises(Suspend):
        run_step(Calling(), payload)
    key = tools.approval_key("refund", ARGUMENTS)
    decision = run_step(Calling(), payload, context=RecordingContext(given=[answer(key, True)]))
    assert isinstance(decision, Complete)
    assert decision.result[0]["success"]
    assert len(made) == 1


def test_an_async_step_is_told_to_await_its_tools(made: Any) -> None:
    class Wrong(Calling):
        async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
            return Complete(tools.call(ctx, "refund", {"order": 7, "amount": 5}).as_json())

    with pytest.raises(InvalidInput, match=r"await registry\.acall"):
        run_step(Wrong(), {})
    assert made == []


def test_the_quota_of_a_run_holds_in_tests_too(made: Any) -> None:
    decision = run_step(Calling(), {"calls": [["search", {"query": text}] for text in "abc"]})
    assert isinstance(decision, Complete)
    assert [result.get("code", "") for result in decision.result] == ["", "", "quota_exceeded"]


def called(*calls: list[Any], engine: Engine | None = None) -> list[dict[str, Any]]:
    """Run one step that makes these calls, and return what came of them."""
    decision = run_step(engine or Calling(), {"calls": list(calls)})
    assert isinstance(decision, Complete)
    found: list[dict[str, Any]] = decision.result
    return found


@pytest.mark.parametrize("engine", [Calling(), Atomic()])
def test_tools_answer_by_a_script_and_none_is_called(engine: Engine, made: Any) -> None:
    with scripted(tools, look_up=["ann", Declined("banned")], search="a page") as asked:
        results = called(
            ["look_up", {"name": "a"}], ["look_up", {"name": "b"}], *[["search", {"query": "x"}]] * 2, engine=engine
        )
    assert [result["payload"] for result in results] == ["ann", None, "a page", "a page"]
    assert [result["success"] for result in results] == [True, False, True, True]
    assert asked["look_up"] == [{"name": "a"}, {"name": "b"}]
    assert (asked["search"], asked["mail"]) == ([{"query": "x"}] * 2, [])
    assert made == []
    assert called(["look_up", {"name": "ann"}])[0]["success"]
    assert made == [("look_up", "ann")]


def test_the_rules_of_a_tool_hold_beside_its_script(made: Any) -> None:
    with scripted(tools, refund={"refunded": 1}, search="a page") as asked:
        with pytest.raises(Suspend):
            called(["refund", ARGUMENTS])
        results = called(
            ["refund", {"order": "x"}], *[["search", {"query": "x"}]] * 3, ["refund", {**ARGUMENTS, "amount": 5}]
        )
    assert [result.get("code", "") for result in results] == ["invalid_arguments", "", "", "quota_exceeded", ""]
    assert asked["refund"] == [{"order": 7, "amount": 5.0}]


def test_a_call_that_the_script_does_not_have_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="call 2 of look_up"), scripted(tools, look_up=["ann"]):
        assert called(*[["look_up", {"name": "a"}]] * 2)[1]["code"] == "unscripted"
    with pytest.raises(AssertionError, match="call 1 of mail"), scripted(tools):
        called(["mail", {"to": "ann"}])
    with pytest.raises(AssertionError, match="no tool lok_up"), scripted(tools, lok_up="ann"):
        pytest.fail("There is no such tool.")
