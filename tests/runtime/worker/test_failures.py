"""What a step raises, or fails with, and what Roost makes of it."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import pytest

from runtime.choices import State
from runtime.engine import Fail, Item, Snapshot
from runtime.exceptions import Declined, InvalidInput, PermanentError, RetryableError
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from runtime.worker import execute
from runtime.worker.run import Run
from tests.runtime.worker.stepping import WORKER, Stub, claimed, error_of, outcome_of


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


class Forgetful(RetryableError):
    """As in a product: its own `__init__` does not call that of its base."""

    def __init__(self, order: int) -> None:
        self.order = order


class Torn(PermanentError):
    """Has attributes that cannot be read."""

    @property
    def details(self) -> Any:  # type: ignore[override]
        """Fail."""
        raise RuntimeError("no details for you")

    @details.setter
    def details(self, value: Any) -> None:
        """Take no notice."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermanentError("gone", code=410), "410"),
        (RetryableError("busy", code=429), "429"),
        (PermanentError("none", code=None), "permanent"),
        (PermanentError("list", details=[1]), "permanent"),  # type: ignore[arg-type]
        (Forgetful(7), "retryable"),
        (Torn("torn"), ""),
    ],
)
def test_an_error_of_any_make_is_a_failure_of_its_step(error: BaseException, code: str) -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise error

    outcome = outcome_of(raises)
    retried = isinstance(error, RetryableError)
    assert outcome.state == (State.QUEUED if retried else State.FAILED)
    assert (error_of(outcome)["type"], error_of(outcome)["code"]) == (type(error).__name__, code)
    assert len(outcome.fingerprint) == 16


@pytest.mark.parametrize("fail", [Fail("no", code=404), Fail("no", details=3), Fail(None)])  # type: ignore[arg-type]
def test_a_failure_that_is_told_carelessly_is_one(fail: Fail) -> None:
    outcome = outcome_of(lambda snapshot, item, ctx: fail)
    assert (outcome.state, error_of(outcome)["type"]) == (State.FAILED, "PermanentError")


def test_a_wait_that_an_error_asks_for_may_be_a_timedelta() -> None:
    def raises(snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        raise RetryableError("later", retry_after=dt.timedelta(minutes=5))

    assert outcome_of(raises).delay == 300


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
