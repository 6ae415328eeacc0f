"""No item is anywhere without a reason that `why` tells in words: every state with every reason it can have."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.models import Event, WorkItem
from runtime.queries.why import why
from runtime.queries.words import for_people
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db

REASONS: dict[State, tuple[str, ...]] = {
    State.QUEUED: (
        *(Reason.NEW, Reason.CONTINUE, Reason.DELAY, Reason.RETRY, Reason.RESOURCE, Reason.LIMIT),
        *(Reason.RECOVERED, Reason.REQUEUED, Reason.REDRIVEN, Reason.RELEASED, Reason.ANSWERED),
        Reason.FOLLOW_UP,
    ),
    State.RUNNING: ("",),
    State.WAITING: (Reason.APPROVAL, Reason.INPUT, Reason.SIGNAL, Reason.CHILDREN, Reason.TIMER),
    State.PAUSED: (Reason.OPERATOR, Reason.BUDGET, Reason.STEP_QUOTA, Reason.HELD),
    State.DONE: ("",),
    State.FAILED: (
        *(Reason.ATTEMPTS_EXHAUSTED, Reason.PERMANENT_ERROR, Reason.DEADLINE, Reason.TIMEOUT, Reason.WAIT_EXPIRED),
        *(Reason.MAX_STEPS, Reason.POISON, Reason.UNKNOWN_ENGINE, Reason.REJECTED, Reason.FORCED),
        Reason.CHILD_FAILED,
    ),
    State.CANCELLED: ("",),
}
PAIRS = [(state, reason) for state, reasons in REASONS.items() for reason in reasons]


def placed(state: State, reason: str, **values: Any) -> WorkItem:
    """Write an item in a state for a reason, with what belongs to it."""
    if state == State.RUNNING:
        return rows.running(rows.worker())
    item = rows.item(state, reason=reason, **values)
    if reason == Reason.RESOURCE:
        rows.claim(item, "page", held=False)
    return item


def test_every_reason_and_every_state_is_looked_at_here() -> None:
    assert set(REASONS) == set(State)
    assert {reason for _state, reason in PAIRS} - {""} == set(Reason)


@pytest.mark.parametrize(("state", "reason"), PAIRS)
def test_why_tells_the_state_and_the_reason_in_words(state: State, reason: str) -> None:
    found = why(placed(state, reason))
    assert found.causes
    assert all(cause.code and cause.text.endswith(".") for cause in found.causes)
    if reason == Reason.HELD:
        assert "Held" in found.text, "in words of its own"
    elif reason:
        assert for_people(reason) in found.text


@pytest.mark.parametrize("reason", [reason for state, reason in PAIRS if state == State.QUEUED])
def test_an_item_that_is_not_due_yet_says_until_when_and_why(reason: str) -> None:
    item = placed(State.QUEUED, reason, run_at=rows.now(90))
    told = why(item)
    assert for_people(reason) in told.text
    assert told.codes[0] in ("not_due", "parked")


def test_an_item_paused_for_its_steps_says_how_it_goes_on_and_blames_nobody() -> None:
    item = placed(State.PAUSED, Reason.STEP_QUOTA, paused_from=State.QUEUED)
    Event.objects.create(
        work_item=item, seq=2, kind=EventKind.PAUSED, version=0, epoch=0, reason="step_quota", created_at=rows.now()
    )
    told = why(item).text
    assert "Paused: its step quota is used up." in told.replace(f" since {item.away_since}", "")
    assert f"roost resume {item.pk}" in told


def test_a_running_item_that_is_to_pause_says_after_how_many_steps() -> None:
    item = rows.running(rows.worker(), pause_at_step=5, steps_total=3)
    assert why(item).codes == ("running", "pause_after")
    assert "It pauses after 5 steps; it has made 3." in why(item).text
