"""The demo product's engines do what its console is meant to show."""

from __future__ import annotations

from typing import Any

import pytest

from roost_project.demo_data import fill
from roost_project.demo_engines import Invoice, Review
from runtime.choices import State
from runtime.exceptions import InvalidInput
from runtime.models import Artifact, Schedule, Trigger, Wait, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.testing import drain


@pytest.mark.django_db(transaction=True)
def test_invoices_are_filed_or_fail_in_two_ways() -> None:
    filed = enqueue("invoice", {"number": "A-1", "amount": 100})
    odd = enqueue("invoice", {"number": "X-1", "amount": 100, "trouble": "currency"})
    slow = enqueue("invoice", {"number": "T-1", "amount": 100, "trouble": "timeout"}, max_attempts=1)
    drain(engines=["invoice"])
    for item in (filed, odd, slow):
        item.refresh_from_db()
    assert (filed.state, filed.result["total"]) == (State.DONE, 120)
    assert Artifact.objects.filter(work_item=filed).exists()
    assert (odd.state, slow.state) == (State.FAILED, State.FAILED)
    assert odd.fingerprint != slow.fingerprint


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["approval", "input"])
def test_a_review_waits_for_a_person(kind: str) -> None:
    item = enqueue("review", {"title": "The figures", "ask": kind})
    drain(engines=["review"])
    [wait] = Wait.objects.filter(work_item=item)
    assert (wait.kind, wait.state) == (kind, "open")
    assert "The figures" in wait.prompt


@pytest.mark.parametrize(
    ("engine", "payload"),
    [
        (Invoice(), {"number": "A-1"}),
        (Invoice(), {"number": "A-1", "amount": 0}),
        (Invoice(), {"number": "A-1", "amount": 1, "trouble": "rain"}),
        (Review(), {}),
        (Review(), {"title": "x", "ask": "money"}),
        (Review(), {"title": "x", "hours": 0}),
    ],
)
def test_bad_payloads_are_refused(engine: Any, payload: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        engine.check_payload(payload)


@pytest.mark.django_db
def test_demo_data_has_several_engines_a_schedule_and_a_trigger() -> None:
    fill("http://127.0.0.1:8000/admin/login/")
    assert set(WorkItem.objects.values_list("engine", flat=True)) == {"counter", "invoice", "review", "watchlist"}
    assert Schedule.objects.count() == 2
    assert Trigger.objects.count() == 1
