"""Approve, reject and respond in the admin: from the inbox, from a wait's page and from its item's."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.actions import Confirmation
from console.wait_actions import WAIT_ACTIONS
from runtime.choices import EventKind, State
from runtime.models import Event, Wait, WorkItem
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from tests.console.conftest import Page
from tests.console.test_verbs import confirm, told
from tests.factories import WaitFactory, WorkItemFactory

LIST = "/admin/roost/wait/"
SCHEMA = {
    "type": "object",
    "required": ["city", "nights"],
    "properties": {
        "city": {"type": "string", "title": "Where to", "maxLength": 20},
        "nights": {"type": "integer", "minimum": 1},
        "budget": {"type": "number"},
        "breakfast": {"type": "boolean"},
        "class": {"enum": ["plain", 2, None]},
        "from": {"type": "string", "format": "date"},
        "guests": {"type": "array", "items": {"type": "string"}},
        "more": {"type": "object"},
    },
}


def url(verb: str) -> str:
    return reverse("admin:roost_wait_verb", args=[verb])


def item_page(wait: Wait) -> str:
    return reverse("admin:roost_workitem_change", args=[wait.work_item_id])


def ask(client: Client, verb: str, *waits: Wait, **fields: Any) -> Any:
    """Press the buttons of these waits."""
    tokens = " ".join(str(Confirmation.of(Wait.objects.get(pk=wait.pk))) for wait in waits)
    return client.post(url(verb), {"items": tokens, **fields})


def state_of(wait: Wait) -> tuple[str, str]:
    wait.refresh_from_db()
    return wait.state, WorkItem.objects.get(pk=wait.work_item_id).state


def posted(typed: dict[str, str]) -> dict[str, str]:
    return {f"value-value.{name}": text for name, text in typed.items()}


def test_an_approval_is_confirmed_done_and_recorded_twice(boss: Client) -> None:
    wait = WaitFactory(prompt="Refund <120> €?", data={"order": "no. 7"})
    asked = ask(boss, "approve", wait)
    page = Page(asked)
    assert page.refused == []
    assert "Refund <120> €?" in page.text
    assert "no. 7" in page.text
    assert state_of(wait) == ("open", State.WAITING)
    answer = confirm(boss, asked, reason="fine")
    assert "Approve: 1 item changed." in told(answer)
    assert state_of(wait) == ("resolved", State.QUEUED)
    event = Event.objects.get(work_item=wait.work_item, kind=EventKind.APPROVED)
    assert (event.actor, event.reason) == ("boss", "fine")
    entries = LogEntry.objects.values_list("object_id", "change_message")
    message = f"approved: fine [{event.data['click']}]"
    assert set(entries) == {(str(wait.pk), message), (str(wait.work_item_id), message)}


def test_a_rejection_tells_the_step_why(boss: Client) -> None:
    wait = WaitFactory()
    confirm(boss, ask(boss, "reject", wait), reason="too much")
    assert state_of(wait) == ("resolved", State.QUEUED)
    assert (wait.resolution, wait.answers[0]["reason"]) == (False, "too much")


def test_many_approvals_are_given_at_once_even_two_of_one_item(boss: Client) -> None:
    first = WaitFactory(key="a")
    second, other = WaitFactory(key="b", work_item=first.work_item), WaitFactory()
    fields = {"action": "approve_items", "_selected_action": [str(one.pk) for one in (first, second, other)]}
    asked = boss.post(LIST, {**fields, "index": 0})
    assert "Approve · 3 answers" in Page(asked).text
    assert "3 items changed" in told(confirm(boss, asked))
    assert {state_of(one)[0] for one in (first, second, other)} == {"resolved"}


def test_what_cannot_be_approved_is_skipped_and_said_so(boss: Client) -> None:
    kinds = WaitFactory(kind="input"), WaitFactory(state="expired"), WaitFactory()
    page = Page(ask(boss, "approve", *kinds))
    assert "Approve · 1 answer" in page.text
    assert "question is no approval." in page.text
    assert "is expired already" in page.text


def test_an_approval_that_somebody_voted_on_since_it_was_shown_is_skipped(boss: Client) -> None:
    wait = WaitFactory(quorum=3)
    asked = ask(boss, "approve", wait)
    approve(wait=wait.pk, actor="somebody")
    assert "changed since version" in told(confirm(boss, asked))
    wait.refresh_from_db()
    assert [vote["by"] for vote in wait.answers] == ["somebody"]


def test_an_approval_of_an_item_that_was_cancelled_meanwhile_is_skipped(boss: Client) -> None:
    wait = WaitFactory()
    asked = ask(boss, "approve", wait)
    cancel(wait.work_item_id)
    assert "1 item skipped" in told(confirm(boss, asked))


def test_an_approval_that_is_gone_is_skipped(boss: Client) -> None:
    wait = WaitFactory()
    asked = ask(boss, "approve", wait)
    Wait.objects.all().delete()
    assert "There is no wait" in told(confirm(boss, asked))


def test_a_second_press_is_no_second_vote(boss: Client) -> None:
    wait = WaitFactory(quorum=2)
    asked = ask(boss, "approve", wait)
    confirm(boss, asked)
    confirm(boss, asked)
    wait.refresh_from_db()
    assert len(wait.answers) == 1
    assert "has approved" in Page(ask(boss, "approve", wait)).text


def test_an_input_is_answered_by_the_form_of_its_schema(boss: Client) -> None:
    wait = WaitFactory(kind="input", schema=SCHEMA)
    asked = ask(boss, "respond", wait)
    page = Page(asked)
    assert page.refused == []
    assert "Where to" in page.text
    shown = {name for name in page.fields if name.startswith("value-")}
    assert shown == set(posted(dict.fromkeys(("city", "nights", "budget", "from"), "")))
    typed = {
        "city": " Oslo ",
        "nights": "2",
        "budget": "99.5",
        "breakfast": "true",
        "class": "2",
        "from": "2026-03-31",
        "guests": "ann\r\n\r\nbob",
        "more": '{"a": [1]}',
    }
    answer = confirm(boss, asked, **posted(typed))
    assert answer.status_code == 302
    assert state_of(wait) == ("resolved", State.QUEUED)
    assert wait.resolution == {
        "city": "Oslo",
        "nights": 2,
        "budget": 99.5,
        "breakfast": True,
        "class": 2,
        "from": "2026-03-31",
        "guests": ["ann", "bob"],
        "more": {"a": [1]},
    }


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"city": "", "nights": "2"}, "Where to: this is needed."),
        ({"city": "Oslo", "nights": "two"}, "nights: this is no whole number."),
        ({"city": "Oslo", "nights": "0"}, "0 is less than the minimum of 1"),
        ({"city": "O" * 30, "nights": "1"}, "is too long"),
        ({"city": "Oslo", "nights": "1", "more": "{"}, "more: this is no JSON"),
        ({"city": "Oslo", "nights": "1", "more": "[]"}, "is not of type"),
        ({"city": "Oslo", "nights": "1", "from": "31.3."}, "from: this is no date"),
        ({"city": "Oslo", "nights": "1", "class": '"no such"'}, "is not one of"),
    ],
)
def test_a_wrong_answer_is_one_clear_error_and_nothing_typed_is_lost(
    typed: dict[str, str], said: str, boss: Client
) -> None:
    wait = WaitFactory(kind="input", schema=SCHEMA)
    page: Any = Page(confirm(boss, ask(boss, "respond", wait), **posted(typed)))
    assert said in page.text
    assert page.fields["value-value.city"] == typed["city"]
    assert state_of(wait) == ("open", State.WAITING)


def test_an_input_without_a_schema_takes_any_json(boss: Client) -> None:
    wait = WaitFactory(kind="input")
    confirm(boss, ask(boss, "respond", wait), **{"value-value": '["yes", 1]'})
    assert state_of(wait) == ("resolved", State.QUEUED)
    assert wait.resolution == ["yes", 1]


def test_several_inputs_are_not_answered_at_once(boss: Client) -> None:
    answer = ask(boss, "respond", WaitFactory(kind="input"), WaitFactory(kind="input"))
    assert answer.status_code == 302
    assert "Choose one" in told(answer)
    assert "respond_items" not in boss.get(LIST).content.decode()


@pytest.mark.parametrize("verb", [action.name for action in WAIT_ACTIONS])
def test_who_may_not_answer_sees_no_button_and_is_refused(verb: str, staff: Any, log_in: Any) -> None:
    wait = WaitFactory(kind="input" if verb == "respond" else "approval")
    viewer = log_in(staff("view_wait", "view_workitem", "view_payload"))
    for page in (LIST, f"{LIST}{wait.pk}/change/", item_page(wait)):
        assert str(Confirmation.of(wait)) not in viewer.get(page).content.decode()
    assert ask(viewer, verb, wait).status_code == 403
    assert ask(viewer, verb, wait, confirmed="yes").status_code == 403
    assert state_of(wait) == ("open", State.WAITING)


def test_an_approver_approves_and_does_not_see_details_without_the_permission(staff: Any, log_in: Any) -> None:
    wait = WaitFactory(data={"secret": "sesame"})
    approver = log_in(staff("view_wait", "approve_wait"))
    asked = ask(approver, "approve", wait)
    assert "sesame" not in asked.rendered_content
    assert "hidden: needs permission roost.view_payload" in Page(asked).text
    assert confirm(approver, asked)["Location"] == LIST
    assert state_of(wait) == ("resolved", State.QUEUED)


def test_every_page_that_shows_an_open_wait_has_its_buttons(boss: Client) -> None:
    approval = WaitFactory()
    WaitFactory(work_item=approval.work_item, key="which", kind="input")
    WaitFactory(work_item=approval.work_item, key="over", state="consumed")
    listing = Page(boss.get(LIST))
    assert listing.refused == []
    for words in ("Approve…", "Reject…", "Respond…"):
        assert words in listing.words
    assert Page(boss.get(f"{LIST}{approval.pk}/change/")).buttons == ["approve", "reject"]
    page = Page(boss.get(item_page(approval)))
    assert page.refused == []
    text = page.text
    for words in ("Approve “question”…", "Reject “question”…", "Respond “which”…"):
        assert words in text
    assert "“over”…" not in text


def test_the_button_that_rejects_looks_as_grave_as_it_is_wherever_it_stands(boss: Client) -> None:
    wait = WaitFactory()
    for address, places in ((LIST, 1), (f"{LIST}{wait.pk}/change/", 1), (item_page(wait), 2)):
        html = boss.get(address).content.decode()
        assert len(re.findall(r'class="button[^"]*roost-grave"[^>]*>Reject', html)) == places, address
        assert not re.findall(r'roost-grave"[^>]*>Approve', html)


def test_a_list_with_buttons_makes_the_queries_of_one_row(boss: Client) -> None:
    counts = []
    for count in (1, 49):
        WaitFactory.create_batch(count)
        with CaptureQueriesContext(connection) as queries:
            assert boss.get(LIST).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 5


def test_the_way_back_leads_to_the_item_that_was_looked_at(boss: Client) -> None:
    wait = WaitFactory(work_item=WorkItemFactory(waiting=True, asked=True))
    asked = ask(boss, "approve", wait, back=item_page(wait))
    assert confirm(boss, asked)["Location"] == item_page(wait)
