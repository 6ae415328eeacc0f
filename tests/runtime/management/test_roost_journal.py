from __future__ import annotations

import pytest

from runtime.choices import EventKind
from runtime.models import Event, JournalEntry
from tests.factories import JournalEntryFactory, WorkItemFactory
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db


def test_recorded_calls_are_listed_with_what_came_of_them() -> None:
    item = WorkItemFactory(failed=True, version=1)
    JournalEntryFactory(work_item=item, key="once", base_version=-1, result={"id": 7})
    JournalEntryFactory(work_item=item, key="charge", state="failed", error={"message": "no account"}, attempts=2)
    JournalEntryFactory(work_item=item, key="mail", state="started")
    told = run("journal", "list", item.pk)
    assert [line.split()[:2] for line in told.splitlines()[1:]] == [["whole", "run"], ["1", "charge"], ["1", "mail"]]
    assert "no account" in told
    assert "in doubt" in told
    calls = document("journal", "list", item.pk)["calls"]
    assert [(call["key"], call["state"], call["in_doubt"], call["attempts"]) for call in calls] == [
        ("once", "succeeded", False, 1),
        ("charge", "failed", False, 2),
        ("mail", "started", True, 1),
    ]
    assert calls[0]["result"] == {"id": 7}


def test_the_list_is_paged_and_narrowed() -> None:
    item = WorkItemFactory()
    for number in range(5):
        JournalEntryFactory(work_item=item, key=str(number), state="failed" if number % 2 else "succeeded")
    first = document("journal", "list", item.pk, "--limit", 3)
    rest = document("journal", "list", item.pk, "--limit", 3, "--after", first["next"])
    assert [call["key"] for call in first["calls"] + rest["calls"]] == list("01234")
    assert rest["next"] is None
    assert "more: --after" in run("journal", "list", item.pk, "--limit", 3)
    assert [call["key"] for call in document("journal", "list", item.pk, "--state", "failed")["calls"]] == ["1", "3"]
    assert refused("journal", "list", item.pk, "--state", "lost")[0] == 2
    assert run("journal", "list", WorkItemFactory().pk) == "No recorded call here.\n"


@pytest.mark.scenario("S2")
def test_a_call_is_reset_with_a_reason() -> None:
    item = WorkItemFactory(failed=True)
    JournalEntryFactory(work_item=item, key="charge", state="failed")
    told = document("journal", "reset", item.pk, "charge", "--reason", "account is open now")
    assert told == {"id": str(item.pk), "state": "failed", "reset": "charge"}
    assert not JournalEntry.objects.exists()
    event = Event.objects.get(kind=EventKind.JOURNAL_RESET)
    assert (event.actor.startswith("cli:"), event.reason) == (True, "account is open now")
    assert refused("journal", "reset", item.pk, "charge")[0] == 3


def test_a_call_that_succeeded_is_not_reset() -> None:
    item = WorkItemFactory(failed=True)
    JournalEntryFactory(work_item=item, key="charge")
    code, message = refused("journal", "reset", item.pk, "charge")
    assert (code, "it is kept" in message) == (1, True)
