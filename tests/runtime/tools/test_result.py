"""A result is JSON there and back, and unwraps to the payload or to the error that fits."""

from __future__ import annotations

import json

import pytest

from runtime.exceptions import AccessDenied, Declined, InvalidData, PermanentError, RetryableError
from runtime.tools.result import ToolResult


@pytest.mark.parametrize(
    "result",
    [
        ToolResult(success=True, payload={"paid": [1, None]}),
        ToolResult(success=True, payload=1, message="paid", suggestions=("Tell the customer.",)),
        ToolResult.failure("business", "closed", "The account is closed.", suggestions=["Open one."], account=7),
    ],
)
def test_a_result_survives_the_journal(result: ToolResult) -> None:
    assert ToolResult.from_json(json.loads(json.dumps(result.as_json()))) == result


def test_a_plain_success_is_told_in_two_words() -> None:
    assert ToolResult(success=True, payload=7).as_json() == {"success": True, "payload": 7}
    assert ToolResult(success=True, payload=7).unwrap() == 7


@pytest.mark.parametrize(
    ("category", "error"),
    [
        ("validation", InvalidData),
        ("business", Declined),
        ("permission", AccessDenied),
        ("unknown", PermanentError),
        ("transient", PermanentError),
    ],
)
def test_a_failure_unwraps_to_the_error_of_its_category(category: str, error: type[PermanentError]) -> None:
    with pytest.raises(error, match="no luck") as caught:
        ToolResult.failure(category, "odd", "no luck", suggestions=["Try that."]).unwrap()
    assert (type(caught.value), caught.value.code) == (error, "odd")
    assert caught.value.details["suggestions"] == ["Try that."]


def test_what_may_succeed_later_unwraps_to_an_error_that_is_retried_then() -> None:
    with pytest.raises(RetryableError) as caught:
        ToolResult.failure("business", "quota_exceeded", "later", retryable=True, retry_after=30).unwrap()
    assert caught.value.retry_after == 30
