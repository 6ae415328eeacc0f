"""Priority changes the order of what is live, and throws no running step away."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.choices import EventKind
from runtime.exceptions import Conflict, InvalidInput
from runtime.models import Lease
from runtime.operations.prioritise import prioritise
from tests.factories import WorkItemFactory
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L30")]


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "paused"])
def test_a_live_item_gets_another_priority_and_nothing_else(state: str) -> None:
    item = WorkItemFactory(**({state: True} if state != "queued" else {}))
    prioritise(item.pk, 9)
    stored = fresh(item)
    assert (stored.priority, stored.state, stored.reason, stored.epoch) == (9, state, item.reason, item.epoch)
    assert stored.run_at == item.run_at
    assert not Lease.objects.filter(pk=item.pk, revoked_at__isnull=False).exists()
    event = last_event(item)
    assert (event.kind, event.data) == (EventKind.PRIORITY, {"from": 0, "to": 9})


def test_the_priority_it_has_already_is_no_change() -> None:
    item = WorkItemFactory(priority=3)
    before = values(item)
    assert prioritise(item.pk, 3).priority == 3
    assert values(item) == before


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_an_item_that_has_ended_has_no_priority_to_change(state: str) -> None:
    item = WorkItemFactory(**{state: True})
    with pytest.raises(Conflict, match=f"is {state}; it cannot be prioritised"):
        prioritise(item.pk, 9)


@pytest.mark.parametrize("wrong", [32768, -32769, "1", 1.5, None, True])
def test_a_priority_that_cannot_be_stored_is_refused(wrong: Any) -> None:
    item = WorkItemFactory()
    with pytest.raises(InvalidInput, match="priority"):
        prioritise(item.pk, wrong)
