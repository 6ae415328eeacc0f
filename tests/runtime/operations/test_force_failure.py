"""An item is made a dead letter by hand, and is one like any other."""

from __future__ import annotations

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict, InvalidInput
from runtime.models import Lease, Wait
from runtime.operations.enqueue import enqueue
from runtime.operations.force_failure import force_failure
from runtime.operations.redrive import redrive
from runtime.queries import verify
from runtime.testing import drain
from tests.factories import WaitFactory, WorkItemFactory
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L11")]


def test_a_forced_dead_letter_goes_on_from_its_snapshot_when_it_is_redriven() -> None:
    item = enqueue("counter", {"count_to": 3})
    drain(max_steps=2, engines=["counter"])
    force_failure(item.pk, code="gateway_down", reason="what if", actor="ada")
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.version) == (State.FAILED, Reason.FORCED, 2)
    assert (stored.last_error["code"], stored.last_error["message"]) == ("gateway_down", "what if")
    assert stored.finished_at is not None
    event = last_event(item)
    assert (event.kind, event.actor, event.reason) == (EventKind.FAILED, "ada", "what if")
    assert list(verify.item(item.pk)) == []
    redrive(item.pk)
    assert drain(engines=["counter"]) == 1
    assert fresh(item).state == State.DONE


def test_a_running_step_is_fenced_off() -> None:
    item = WorkItemFactory(running=True)
    force_failure(item.pk, reason="what if")
    assert fresh(item).epoch == item.epoch + 1
    assert Lease.objects.get().revoked_at is not None


def test_what_it_waits_for_is_withdrawn() -> None:
    wait = WaitFactory()
    force_failure(wait.work_item_id, reason="what if")
    assert Wait.objects.get().state == "withdrawn"
    assert fresh(wait.work_item).last_error["code"] == "forced"


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
def test_an_item_that_has_ended_stays_as_it_is(state: str) -> None:
    item = WorkItemFactory(**{state: True})
    before = values(item)
    with pytest.raises(Conflict, match=state):
        force_failure(item.pk, reason="what if")
    assert values(item) == before


@pytest.mark.parametrize("more", [{"reason": " "}, {"reason": "what if", "code": "x" * 65}])
def test_what_makes_no_sense_is_refused(more: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        force_failure(WorkItemFactory().pk, **more)  # type: ignore[arg-type]
