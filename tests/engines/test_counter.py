"""The counter counts, waits and fails as its payload asks."""

from __future__ import annotations

from typing import Any

import pytest

from engines.counter import Counter
from runtime.engine import Complete, Continue, Snapshot
from runtime.exceptions import InvalidInput, PermanentError, RetryableError
from runtime.testing import RecordingContext, run_step

ENGINE = Counter()


def at(count: int) -> Snapshot:
    return Snapshot(data={"count": count}, version=count)


def test_it_counts_one_further_in_each_step_and_ends_with_the_number() -> None:
    payload = {"count_to": 2, "delay_seconds": 1.5}
    assert run_step(ENGINE, payload) == Continue({"count": 1}, 1.5, "1 of 2")
    assert run_step(ENGINE, payload, snapshot=at(1)) == Complete({"count": 2}, {"count": 2}, "2 of 2")


def test_it_takes_its_time_without_blocking_others() -> None:
    assert ENGINE.is_async
    assert run_step(ENGINE, {"count_to": 1, "sleep": 0.001}) == Complete({"count": 1}, {"count": 1}, "1 of 1")


@pytest.mark.parametrize(
    ("more", "error"),
    [({}, RetryableError), ({"fail_with": "retryable"}, RetryableError), ({"fail_with": "permanent"}, PermanentError)],
)
def test_the_step_named_by_fail_at_fails_in_its_first_attempt_only(more: dict[str, str], error: type) -> None:
    payload = {"count_to": 5, "fail_at": 2, **more}
    assert isinstance(run_step(ENGINE, payload), Continue)
    with pytest.raises(error, match="Step 2 fails in attempt 1"):
        run_step(ENGINE, payload, snapshot=at(1))
    again = RecordingContext(attempt=2)
    assert isinstance(run_step(ENGINE, payload, snapshot=at(1), context=again), Continue)


def test_it_fails_as_often_as_it_is_told() -> None:
    payload = {"count_to": 5, "fail_at": 1, "fail_times": 3}
    with pytest.raises(RetryableError):
        run_step(ENGINE, payload, context=RecordingContext(attempt=3))
    assert isinstance(run_step(ENGINE, payload, context=RecordingContext(attempt=4)), Continue)


@pytest.mark.parametrize(
    "payload",
    [
        {"count_to": 1},
        {"count_to": 10, "delay_seconds": 0, "sleep": 0.5, "fail_at": 3, "fail_with": "permanent", "fail_times": 2},
    ],
)
def test_good_payloads_pass(payload: dict[str, Any]) -> None:
    ENGINE.check_payload(payload)


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("payload", "field", "says"),
    [
        (None, "payload", "nothing"),
        ([1], "payload", "a list"),
        ({}, "payload.count_to", "lacks count_to"),
        ({"count_to": 0}, "payload.count_to", "1 to"),
        ({"count_to": True}, "payload.count_to", "whole number"),
        ({"count_to": "7"}, "payload.count_to", "whole number"),
        ({"count_to": 1.5}, "payload.count_to", "whole number"),
        ({"count_to": 1, "colour": "red"}, "payload.colour", "unknown fields: colour"),
        ({"count_to": 1, "sleep": -1}, "payload.sleep", "0 to"),
        ({"count_to": 1, "delay_seconds": float("inf")}, "payload.delay_seconds", "number"),
        ({"count_to": 1, "delay_seconds": None}, "payload.delay_seconds", "number"),
        ({"count_to": 1, "fail_at": 0}, "payload.fail_at", "whole number"),
        ({"count_to": 1, "fail_with": "shame"}, "payload.fail_with", "retryable, permanent"),
    ],
)
def test_a_payload_it_cannot_work_on_is_refused_with_the_field_that_is_wrong(
    payload: Any, field: str, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        ENGINE.check_payload(payload)
    assert caught.value.field == field
