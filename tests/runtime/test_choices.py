"""The one table of transitions says what the architecture says."""

from __future__ import annotations

from itertools import product

import pytest
from django.utils import translation

from runtime.choices import LIVE, PARKED, TERMINAL, TRANSITIONS, EventKind, Reason, State, may_follow

# from → to, as the table of the architecture has it; None stands for "not there yet".
ALLOWED = {
    ("queued", "running"),  # claim
    ("running", "running"),  # commit, no delay
    ("running", "queued"),  # commit with delay, retryable error, release, lease lost
    ("running", "waiting"),  # the step asked
    ("running", "paused"),  # a budget, quota or operator said so
    ("waiting", "queued"),  # respond, approve, reject, signal, last child ended, expiry with a default
    ("queued", "paused"),  # pause
    ("waiting", "paused"),
    ("paused", "queued"),  # resume, to where it was
    ("paused", "waiting"),
    ("running", "done"),  # commit
    ("running", "failed"),  # error
    ("queued", "failed"),  # deadline, poison, unknown engine, timeout
    ("waiting", "failed"),  # wait_expired, rejected, deadline
    ("paused", "failed"),  # deadline
    ("queued", "cancelled"),  # cancel: any live state
    ("running", "cancelled"),
    ("waiting", "cancelled"),
    ("paused", "cancelled"),
    ("failed", "queued"),  # redrive
    ("done", "queued"),  # follow-up
    ("cancelled", "queued"),
    ("failed", "waiting"),  # redrive, requeue: of an item that ended while it waited
    ("cancelled", "waiting"),
    ("queued", "queued"),  # requeue: due now
}


@pytest.mark.parametrize(("before", "after"), list(product(State.values, State.values)))
def test_exactly_the_transitions_of_the_architecture_are_allowed(before: str, after: str) -> None:
    assert may_follow(before, after) == ((before, after) in ALLOWED)


def test_every_state_is_live_or_terminal_and_has_its_row_in_the_table() -> None:
    assert LIVE | TERMINAL == set(State.values) == set(TRANSITIONS)
    assert not LIVE & TERMINAL


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_an_ended_item_is_only_ever_queued_or_waits_again(state: str) -> None:
    assert State.QUEUED in TRANSITIONS[state]
    assert TRANSITIONS[state] <= {State.QUEUED, State.WAITING}


@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_live_item_can_end_in_failure_or_be_cancelled(state: str) -> None:
    assert {State.FAILED, State.CANCELLED} <= TRANSITIONS[state]


def test_only_a_running_item_is_done() -> None:
    assert [state for state in State.values if may_follow(state, State.DONE)] == [State.RUNNING]


def test_parked_reasons_are_reasons() -> None:
    assert set(Reason.values) >= PARKED == {"resource", "limit"}


@pytest.mark.parametrize("choices", [State, Reason, EventKind])
def test_values_fit_their_columns_and_never_change_with_the_language(choices: type[State]) -> None:
    with translation.override("de"):
        assert all(value.isascii() and value == value.lower() and len(value) <= 30 for value in choices.values)
        assert all(str(label) for label in choices.labels)
