"""Backoff grows, stays under its cap, and never overflows."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import classify
from runtime.exceptions import Declined, InvalidInput, RetryableError
from runtime.journal import CallPolicy, Quota
from runtime.retry import RetryPolicy

PLAIN = RetryPolicy(max_attempts=5, base=1.0, cap=300.0, jitter=0.0)
POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 100),
    base=st.floats(0, 1e6),
    cap=st.floats(0, 1e9),
    jitter=st.floats(0, 1),
)


@pytest.mark.scenario("L6")
def test_waits_double_until_the_cap() -> None:
    assert [PLAIN.delay(failures) for failures in range(1, 12)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.scenario("B6")
@pytest.mark.parametrize("failures", [63, 64, 1024, 1025, 10**6, 10**30])
def test_no_number_of_failures_overflows(failures: int) -> None:
    assert PLAIN.delay(failures) == 300.0
    assert RetryPolicy(max_attempts=1, base=1e300, cap=math.inf, jitter=0.25).delay(failures) > 0


@pytest.mark.parametrize("failures", [0, -1, -(10**30)])
def test_fewer_than_one_failure_counts_as_the_first(failures: int) -> None:
    assert PLAIN.delay(failures) == 1.0


def test_jitter_moves_a_wait_both_ways_by_its_share_at_most() -> None:
    policy = RetryPolicy(max_attempts=5, base=100.0, cap=300.0, jitter=0.25)
    assert (policy.delay(1, chance=0.0), policy.delay(1, chance=0.5), policy.delay(1, chance=1.0)) == (75, 100, 125)
    drawn = {policy.delay(1) for _ in range(50)}
    assert len(drawn) > 10
    assert all(75 <= wait <= 125 for wait in drawn)


@given(policy=POLICIES, failures=st.integers(), chance=st.floats(0, 1))
def test_a_wait_is_finite_never_negative_and_near_its_cap_at_most(
    policy: RetryPolicy, failures: int, chance: float
) -> None:
    wait = policy.delay(failures, chance=chance)
    assert math.isfinite(wait)
    assert 0 <= wait <= policy.cap * (1 + policy.jitter) * (1 + 1e-9)


@given(policy=POLICIES, failures=st.integers(1, 2000), chance=st.floats(0, 1))
def test_one_more_failure_never_shortens_the_wait(policy: RetryPolicy, failures: int, chance: float) -> None:
    assert policy.delay(failures, chance=chance) <= policy.delay(failures + 1, chance=chance)


def test_the_default_policy_is_what_the_settings_say(settings: Any) -> None:
    assert RetryPolicy.default() == RetryPolicy(max_attempts=5, base=1.0, cap=300.0, jitter=0.25)
    settings.ROOST_MAX_ATTEMPTS = 2
    settings.ROOST_BACKOFF_BASE = 7
    assert (RetryPolicy.default().max_attempts, RetryPolicy.default().base) == (2, 7)


def test_a_fixed_policy_waits_the_same_time_always() -> None:
    policy = RetryPolicy.fixed(7.5, 3)
    assert {policy.delay(failures) for failures in (1, 2, 50)} == {7.5}
    assert policy.max_attempts == 3


@pytest.mark.scenario("S3")
def test_only_what_may_pass_by_itself_is_retried_unless_the_policy_lists_more() -> None:
    refused, unsure, late = PermissionError(), ValueError(), TimeoutError()
    assert [PLAIN.retries(classify(error)) for error in (refused, unsure, late)] == [False, True, True]
    strict = RetryPolicy.fixed(1, 3, categories={"transient"})
    assert [strict.retries(classify(error)) for error in (refused, unsure, late)] == [False, False, True]
    patient = RetryPolicy.fixed(1, 3, categories={"permission"})
    assert [patient.retries(classify(error)) for error in (refused, unsure, late)] == [True, False, False]


def test_no_policy_overrules_what_an_error_says_of_itself() -> None:
    everything = RetryPolicy.fixed(1, 3, categories={"business", "transient", "unknown"})
    assert not everything.retries(classify(Declined("no")))
    nothing = RetryPolicy.fixed(1, 3, categories=set())
    assert nothing.retries(classify(RetryableError("busy")))


@pytest.mark.scenario("L15")
def test_a_category_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"'temporary'.*transient, validation"):
        RetryPolicy.fixed(1, 3, categories={"temporary"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_attempts", value) for value in (0, -1, 1.5, True, "3")),
        *(("base", value) for value in (-1, math.nan, "1", None)),
        *(("cap", value) for value in (-1, math.nan, None)),
        *(("jitter", value) for value in (-0.1, 1.1, math.nan)),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_by_name(name: str, value: Any) -> None:
    usual: dict[str, Any] = {"max_attempts": 3, "base": 1, "cap": 9, "jitter": 0.1}
    with pytest.raises(InvalidInput, match=f"{name} is ") as caught:
        RetryPolicy(**{**usual, name: value})
    assert caught.value.field == name
    with pytest.raises(InvalidInput):
        CallPolicy(**{name: value})


def test_settings_that_make_no_sense_never_keep_a_failure_from_being_told(settings: Any) -> None:
    settings.ROOST_MAX_ATTEMPTS, settings.ROOST_BACKOFF_BASE, settings.ROOST_BACKOFF_JITTER = 0, -1.0, 7.0
    assert RetryPolicy.default() == RetryPolicy(max_attempts=1, base=0, cap=300, jitter=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("in_doubt", "Ask"),
        ("in_doubt", None),
        ("sticky", "all"),
        *(("timeout", value) for value in (0, -1, math.nan, "5")),
        ("quotas", (3,)),
    ],
)
def test_a_policy_of_calls_that_cannot_be_meant_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidInput, match=name) as caught:
        CallPolicy(**{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize(
    "values", [{"most": -1}, {"most": 1.5}, {"most": 1, "seconds": 0}, {"most": 1, "seconds": "1"}]
)
def test_a_quota_that_cannot_be_meant_is_refused(values: Any) -> None:
    with pytest.raises(InvalidInput):
        Quota(**values)
