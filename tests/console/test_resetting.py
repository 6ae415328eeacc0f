"""A recorded call is forgotten from the console: from its item, from the list of calls, for several items at once."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from console.actions import Confirmation
from runtime.choices import EventKind, State
from runtime.models import Event, JournalEntry, WorkItem
from tests.console.conftest import Page
from tests.console.subjects import asked_about
from tests.console.test_row_buttons import addresses
from tests.console.test_verbs import LIST, ask, confirm, told
from tests.factories import JournalEntryFactory, WorkItemFactory

CALLS = "/admin/roost/journalentry/"


def item_page(item: WorkItem) -> str:
    return reverse("admin:roost_workitem_change", args=[item.pk])


def offered(client: Client, item: WorkItem) -> set[str]:
    """Return the keys of the calls that the item's page offers to reset."""
    parts = client.get(item_page(item)).content.decode().split('name="value-key" value="')[1:]
    return {part.partition('"')[0] for part in parts}


def in_doubt(**values: Any) -> JournalEntry:
    made: JournalEntry = JournalEntryFactory(
        work_item=WorkItemFactory(failed=True, version=2), state="started", **values
    )
    return made


def test_a_call_in_doubt_is_found_and_forgotten_from_its_items_page(boss: Client) -> None:
    call = in_doubt(key="charge", attempts=2)
    item = call.work_item
    assert offered(boss, item) == {"charge"}
    token = str(Confirmation.of(WorkItem.objects.get(pk=item.pk)))
    url = reverse("admin:roost_workitem_verb", args=["reset_call"])
    asked = boss.post(url, {"items": token, "back": item_page(item), "value-key": "charge"})
    assert '<option value="charge" selected>charge (bank.charge, in doubt)</option>' in asked.content.decode()
    assert "A call in doubt may have happened" in Page(asked).text
    assert JournalEntry.objects.filter(pk=call.pk).exists()
    answer = confirm(boss, asked, reason="the bank has no trace of it", **{"value-key": "charge"})
    assert answer["Location"] == item_page(item)
    assert not JournalEntry.objects.filter(pk=call.pk).exists()
    event = Event.objects.get(work_item=item, kind=EventKind.JOURNAL_RESET)
    assert (event.actor, event.reason, event.data["key"]) == ("boss", "the bank has no trace of it", "charge")
    assert event.data["click"] in LogEntry.objects.get(object_id=str(item.pk)).change_message
    assert WorkItem.objects.get(pk=item.pk).state == State.FAILED


def test_only_calls_that_may_be_forgotten_have_a_button(boss: Client) -> None:
    item = WorkItemFactory(paused=True, version=3)
    for state in ("failed", "started", "succeeded", "retry"):
        JournalEntryFactory(work_item=item, key=state, state=state)
    JournalEntryFactory(work_item=item, key="for the run", state="failed", base_version=-1)
    JournalEntryFactory(work_item=item, key="earlier", state="failed", base_version=2)
    assert offered(boss, item) == {"failed", "started", "for the run"}


@pytest.mark.parametrize("values", [{"running": True}, {"legal_hold": True}])
def test_an_item_that_runs_or_is_on_legal_hold_forgets_nothing(values: dict[str, bool], boss: Client) -> None:
    call = JournalEntryFactory(work_item=WorkItemFactory(**values), state="failed")
    assert offered(boss, call.work_item) == set()
    assert addresses(boss, CALLS, call.work_item) == []
    page = Page(ask(boss, "reset_call", call.work_item))
    assert "cannot be made to forget a call." in page.text


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_call_about_which_a_person_is_asked_is_decided_by_the_answer(attempts: int, boss: Client) -> None:
    call = asked_about(key="charge", attempts=attempts)
    assert offered(boss, call.work_item) == set()
    part = boss.get(item_page(call.work_item)).content.decode().partition("Recorded calls")[2]
    assert reverse("admin:roost_wait_verb", args=["respond"]) in part
    assert "a person is asked about it" in Page(ask(boss, "reset_call", call.work_item)).text


def test_an_item_that_moved_on_since_it_was_shown_keeps_its_calls(boss: Client) -> None:
    call = in_doubt(key="charge")
    asked = ask(boss, "reset_call", call.work_item)
    WorkItem.objects.get(pk=call.work_item_id).compare_and_set(priority=1)
    again = confirm(boss, asked, **{"value-key": "charge"})
    assert "changed since" in Page(again).text
    assert JournalEntry.objects.filter(pk=call.pk).exists()


def test_one_call_of_several_items_is_forgotten_at_once(boss: Client) -> None:
    calls = [in_doubt(key="charge"), in_doubt(key="charge"), in_doubt(key="mail")]
    chosen = [str(one.work_item_id) for one in calls]
    asked = boss.post(LIST, {"action": "reset_call_items", "_selected_action": chosen, "index": 0})
    assert "Reset call · 3 items" in Page(asked).text
    message = told(confirm(boss, asked, **{"value-key": "charge"}))
    assert "Reset call: 2 items changed." in message
    assert "has no recorded call 'charge'" in message
    assert [one.key for one in JournalEntry.objects.all()] == ["mail"]


def test_calls_are_not_forgotten_by_items_that_nobody_looked_at(boss: Client) -> None:
    call = in_doubt()
    url = reverse("admin:roost_workitem_verb_all", args=["reset_call"])
    assert boss.post(url, {"back": LIST, "value-key": call.key}).status_code == 404
    assert JournalEntry.objects.filter(pk=call.pk).exists()


def test_a_call_is_forgotten_where_calls_are_listed_and_on_its_own_page(boss: Client) -> None:
    call = in_doubt(key="charge no. 7")
    [address] = addresses(boss, CALLS, call.work_item)
    token = str(Confirmation.of(WorkItem.objects.get(pk=call.work_item_id)))
    asked = boss.post(address, {"items": token, "back": CALLS})
    assert '<option value="charge no. 7" selected>' in asked.content.decode()
    own = boss.get(reverse("admin:roost_journalentry_change", args=[call.pk])).content.decode()
    assert address.replace("&", "&amp;") in own
    assert confirm(boss, asked, **{"value-key": "charge no. 7"})["Location"] == CALLS
    assert not JournalEntry.objects.filter(pk=call.pk).exists()


@pytest.mark.scenario("B18")
def test_who_may_not_reset_calls_is_offered_nothing(staff: Any, log_in: Any) -> None:
    call = in_doubt()
    viewer = log_in(staff("view_workitem", "view_journalentry"))
    for url in (CALLS, reverse("admin:roost_journalentry_change", args=[call.pk]), item_page(call.work_item)):
        assert "reset_call" not in viewer.get(url).content.decode()
