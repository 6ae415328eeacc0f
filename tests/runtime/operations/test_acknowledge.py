"""A dead letter is acknowledged once, with a reason, and stays a dead letter."""

from __future__ import annotations

import pytest

from runtime.choices import EventKind, State
from runtime.exceptions import Conflict, InvalidInput
from runtime.operations.acknowledge import acknowledge
from tests.factories import WorkItemFactory
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L12")]


def test_a_failed_item_is_marked_as_seen_and_stays_failed() -> None:
    item = WorkItemFactory(failed=True)
    acknowledge(item.pk, actor="ada", reason="the customer left")
    stored = fresh(item)
    assert (stored.state, stored.epoch, stored.last_error) == (State.FAILED, item.epoch, item.last_error)
    assert stored.acknowledged_by == "ada"
    assert stored.acknowledged_at is not None
    event = last_event(item)
    assert (event.kind, event.actor, event.reason) == (EventKind.ACKNOWLEDGED, "ada", "the customer left")


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_required(reason: str) -> None:
    item = WorkItemFactory(failed=True)
    with pytest.raises(InvalidInput, match="A reason is required") as caught:
        acknowledge(item.pk, reason=reason)
    assert caught.value.field == "reason"
    assert fresh(item).acknowledged_at is None


def test_it_is_acknowledged_once() -> None:
    item = WorkItemFactory(failed=True)
    acknowledge(item.pk, actor="ada", reason="seen")
    with pytest.raises(Conflict, match=r"It was acknowledged by ada at \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ\.$"):
        acknowledge(item.pk, actor="bob", reason="seen too")
    assert fresh(item).acknowledged_by == "ada"


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "paused", "done", "cancelled"])
def test_only_failed_items_are_acknowledged(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    before = values(item)
    with pytest.raises(Conflict, match=f"is {state}; it cannot be acknowledged"):
        acknowledge(item.pk, reason="seen")
    assert values(item) == before
