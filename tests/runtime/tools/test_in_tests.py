"""Products test steps that call tools without a database: calls are made once, and approvals are given beforehand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runtime.engine import Complete, Engine, Item, Snapshot
from runtime.exceptions import InvalidInput
from runtime.step import StepContext, Suspend
from runtime.testing import RecordingContext, answer, run_step
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
