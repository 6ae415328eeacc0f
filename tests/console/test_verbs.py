"""The verbs in the admin: asked for, confirmed, carried out, recorded."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from console import actions
from console.actions import Confirmation
from console.item_actions import ACTIONS
from runtime.choices import EventKind, State
from runtime.models import Event, JournalEntry, ResourceClaim, Signal, WorkItem
from runtime.operations.pause import pause
from tests.console.conftest import Page
from tests.factories import EventFactory, JournalEntryFactory, ResourceClaimFactory, WorkItemFactory
from tests.runtime.worker.locking import locked

LIST = "/admin/roost/workitem/"


def url(verb: str) -> str:
    return reverse("admin:roost_workitem_verb", args=[verb])


def ask(client: Client, verb: str, *items: WorkItem, **fields: Any) -> Any:
    """Press the button: what the form of these items' pages would send."""
    tokens = " ".join(str(Confirmation.of(WorkItem.objects.get(pk=item.pk))) for item in items)
    return client.post(url(verb), {"items": tokens, **fields})


def confirm(client: Client, asked: Any, **fields: Any) -> Any:
    """Press the button of the confirm page."""
    form = Page(asked).fields
    kept = {name: form[name] for name in ("items", "back", "click")}
    return client.post(asked.context["action_url"], {**kept, "confirmed": "yes", **fields})


def told(answer: Any) -> str:
    return " ".join(str(message) for message in get_messages(answer.wsgi_request))


def test_a_list_action_asks_first_and_says_what_would_be_skipped_and_why(boss: Client) -> None:
    dead, done = WorkItemFactory(failed=True), WorkItemFactory(done=True)
    asked = boss.post(LIST, {"action": "redrive_items", "_selected_action": [str(dead.pk), str(done.pk)], "index": 0})
    page = Page(asked)
    assert page.refused == []
    assert "1 item will change" in page.text
    assert "1 item will be skipped" in page.text
    assert "Only failed items are redriven." in page.text
    assert "Redrive · 1 item" in page.text
    assert page.fields["items"] == str(Confirmation.of(WorkItem.objects.get(pk=dead.pk)))
    dead.refresh_from_db()
    assert dead.state == State.FAILED


def test_what_was_confirmed_is_done_and_recorded_twice(boss: Client) -> None:
    dead = WorkItemFactory(failed=True)
    answer = confirm(boss, ask(boss, "redrive", dead), reason=" the API is back ")
    assert answer.status_code == 302
    dead.refresh_from_db()
    event = Event.objects.filter(work_item=dead).latest("seq")
    entry = LogEntry.objects.get(object_id=str(dead.pk))
    assert dead.state == State.QUEUED
    assert (event.kind, event.actor, event.reason) == (EventKind.REDRIVEN, "boss", "the API is back")
    click = event.data["click"]
    assert (entry.user.get_username(), entry.change_message) == ("boss", f"redriven: the API is back [{click}]")
    assert "1 item changed" in told(answer)


@pytest.mark.scenario("B18")
@pytest.mark.parametrize("verb", [action.name for action in ACTIONS])
def test_a_viewer_can_neither_ask_for_a_verb_nor_confirm_one(verb: str, staff: Any, log_in: Any) -> None:
    viewer = log_in(staff("view_workitem", "view_payload"))
    item = WorkItemFactory(failed=True)
    listing = viewer.get(LIST)
    assert f"{verb}_items" not in listing.content.decode()
    assert ask(viewer, verb, item).status_code == 403
    assert ask(viewer, verb, item, confirmed="yes", reason="because").status_code == 403
    viewer.post(LIST, {"action": f"{verb}_items", "_selected_action": [str(item.pk)], "index": 0})
    before = item.row_version
    item.refresh_from_db()
    assert item.row_version == before


@pytest.mark.parametrize("verb", [action.name for action in ACTIONS])
def test_no_address_of_a_verb_answers_to_get(verb: str, boss: Client) -> None:
    item = WorkItemFactory(failed=True)
    assert boss.get(url(verb), {"items": str(Confirmation.of(item)), "confirmed": "yes"}).status_code == 405


@pytest.mark.django_db
def test_a_form_of_another_site_is_refused() -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("strict", password="secret"))
    item = WorkItemFactory()
    assert ask(strict, "cancel", item, confirmed="yes").status_code == 403


def test_an_item_that_changed_since_it_was_shown_is_skipped_and_said_so(boss: Client) -> None:
    changed, kept = WorkItemFactory(failed=True), WorkItemFactory(failed=True)
    asked = ask(boss, "redrive", changed, kept)
    WorkItem.objects.get(pk=changed.pk).compare_and_set(priority=9)
    answer = confirm(boss, asked)
    changed.refresh_from_db()
    kept.refresh_from_db()
    assert (changed.state, kept.state) == (State.FAILED, State.QUEUED)
    assert "1 item changed." in told(answer)
    assert f"1 item skipped. Work item {changed.pk} changed since" in told(answer)
    assert not LogEntry.objects.filter(object_id=str(changed.pk)).exists()


@pytest.mark.django_db(transaction=True)
def test_an_item_that_somebody_keeps_locked_is_skipped_and_said_so(boss: Client, settings: Any) -> None:
    settings.ROOST_LOCK_TIMEOUT_MS = 50
    busy, free = WorkItemFactory(), WorkItemFactory()
    asked = ask(boss, "cancel", busy, free)
    with locked(busy.pk):
        answer = confirm(boss, asked)
    assert f"1 item skipped. Another transaction keeps {busy.pk} locked. Try again." in told(answer)
    assert LogEntry.objects.get().object_id == str(free.pk)


def test_a_running_item_is_cancelled_although_its_worker_made_progress_meanwhile(boss: Client) -> None:
    item = WorkItemFactory(running=True)
    asked = ask(boss, "cancel", item)
    EventFactory(work_item=item, kind=EventKind.STEP)
    WorkItem.objects.get(pk=item.pk).compare_and_set(version=1)
    confirm(boss, asked)
    item.refresh_from_db()
    assert item.state == State.CANCELLED


def test_a_running_item_is_not_cancelled_when_another_person_moved_it_meanwhile(boss: Client) -> None:
    item = WorkItemFactory()
    asked = ask(boss, "cancel", item)
    pause(item.pk, actor="somebody", reason="I am looking into it")
    answer = confirm(boss, asked)
    item.refresh_from_db()
    assert item.state == State.PAUSED
    assert "Somebody else changed work item" in told(answer)


def test_a_missing_reason_is_asked_for_again_and_nothing_changes(boss: Client) -> None:
    dead = WorkItemFactory(failed=True)
    asked = ask(boss, "acknowledge", dead)
    again = confirm(boss, asked, reason="  ")
    assert "A reason is required." in Page(again).text
    dead.refresh_from_db()
    assert dead.acknowledged_at is None
    confirm(boss, again, reason="known")
    dead.refresh_from_db()
    assert dead.acknowledged_by == "boss"


def test_every_verb_does_what_it_says(boss: Client) -> None:
    claim = ResourceClaimFactory(work_item=WorkItemFactory(limited=True))
    call = JournalEntryFactory(work_item=WorkItemFactory(failed=True), state="failed")
    typed: dict[str, dict[str, Any]] = {
        "signal": {"value-name": "go", "value-payload": '{"a": 1}'},
        "prioritise": {"value-priority": "-7"},
        "release_claim": {"value-resource": claim.resource.key},
        "reset_call": {"value-key": call.key},
    }
    cases = {
        "redrive": (WorkItemFactory(failed=True), State.QUEUED),
        "requeue": (WorkItemFactory(done=True), State.QUEUED),
        "pause": (WorkItemFactory(), State.PAUSED),
        "resume": (WorkItemFactory(paused=True), State.QUEUED),
        "acknowledge": (WorkItemFactory(failed=True), State.FAILED),
        "cancel": (WorkItemFactory(), State.CANCELLED),
        "follow_up": (WorkItemFactory(done=True), State.QUEUED),
        "fork": (WorkItemFactory(done=True), State.DONE),
        "signal": (WorkItemFactory(waiting=True), State.WAITING),
        "prioritise": (WorkItemFactory(running=True), State.RUNNING),
        "release": (WorkItemFactory(running=True), State.QUEUED),
        "release_claim": (claim.work_item, State.QUEUED),
        "reset_call": (call.work_item, State.FAILED),
        "hold": (WorkItemFactory(done=True), State.DONE),
        "unhold": (WorkItemFactory(legal_hold=True), State.QUEUED),
    }
    assert set(cases) == {action.name for action in ACTIONS}
    for verb, (item, state) in cases.items():
        confirm(boss, ask(boss, verb, item), reason="because", **typed.get(verb, {}))
        row_version = item.row_version
        item.refresh_from_db()
        assert item.state == state, verb
        assert item.row_version > row_version, verb
        event = Event.objects.filter(work_item=item).latest("seq")
        assert (event.actor, event.reason) == ("boss", "because"), verb
        assert event.data["click"] in LogEntry.objects.get(object_id=str(item.pk)).change_message, verb
    assert Signal.objects.get().payload == {"a": 1}
    assert cases["prioritise"][0].priority == -7
    assert not ResourceClaim.objects.filter(pk=claim.pk).exists()
    assert not JournalEntry.objects.filter(pk=call.pk).exists()


def test_one_click_has_one_id_however_many_items_it_changes(boss: Client) -> None:
    items = WorkItemFactory.create_batch(3)
    confirm(boss, ask(boss, "cancel", *items))
    events = Event.objects.filter(work_item__in=items, kind=EventKind.CANCELLED)
    assert len({event.data["click"] for event in events}) == 1
    assert len(set(LogEntry.objects.values_list("change_message", flat=True))) == 1
    confirm(boss, ask(boss, "cancel", WorkItemFactory()))
    assert len(set(LogEntry.objects.values_list("change_message", flat=True))) == 2


@pytest.mark.parametrize("click", ["", "<script>", "x" * 41, "a b"])
def test_a_click_of_an_unknown_form_is_given_an_id(click: str, boss: Client) -> None:
    item = WorkItemFactory()
    ask(boss, "cancel", item, confirmed="yes", click=click)
    assert len(Event.objects.filter(work_item=item).latest("seq").data["click"]) == 32


def test_a_signal_is_sent_once_however_often_the_button_is_pressed(boss: Client) -> None:
    item = WorkItemFactory(waiting=True)
    asked = ask(boss, "signal", item)
    for _press in range(2):
        again = confirm(boss, asked, **{"value-name": "go"})
    assert Signal.objects.count() == 1
    assert "Somebody else changed" in Page(again).text


def test_a_needed_field_is_asked_for_again(boss: Client) -> None:
    item = WorkItemFactory()
    for verb, field in (("signal", "value-name"), ("prioritise", "value-priority")):
        again = confirm(boss, ask(boss, verb, item), **{field: "  "})
        assert "this is needed." in Page(again).text
    again = confirm(boss, ask(boss, "prioritise", item), **{"value-priority": "40000"})
    assert "between -32768 and 32767" in Page(again).text


def test_the_resources_that_items_hold_are_offered_and_a_running_items_claim_is_not_taken(boss: Client) -> None:
    kept = ResourceClaimFactory(work_item=WorkItemFactory(limited=True), resource__key="gpu")
    running, none = ResourceClaimFactory().work_item, WorkItemFactory()
    page = Page(ask(boss, "release_claim", kept.work_item, running, none))
    assert "1 item will change" in page.text
    assert "gpu" in page.text
    assert "holds no claim." in page.text
    assert "may be using" in page.text


def test_nothing_to_change_offers_no_button(boss: Client) -> None:
    page = Page(ask(boss, "redrive", WorkItemFactory(done=True)))
    assert "Nothing here can change that way." in page.text
    assert "confirmed" not in page.fields
    assert "textarea" not in page.tags


def test_all_matching_items_are_taken_up_to_what_one_confirmation_covers(
    boss: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 3)
    monkeypatch.setattr(actions, "AT_ONCE", 3)
    first, *_rest = items = WorkItemFactory.create_batch(5, failed=True)
    fields = {"action": "redrive_items", "_selected_action": [str(first.pk)], "select_across": 1, "index": 0}
    asked = boss.post(f"{LIST}?state__exact=failed", fields)
    assert "These are the newest 3" in Page(asked).text
    answer = confirm(boss, asked)
    assert answer["Location"] == f"{LIST}?state__exact=failed"
    assert WorkItem.objects.filter(pk__in=[item.pk for item in items], state=State.QUEUED).count() == 3


@pytest.mark.scenario("B10")
@pytest.mark.parametrize("items", ["", "nonsense", "1:2:3", "x" * 100, "0190aaaa-0000-7000-8000-000000000000:1:1;--"])
def test_a_form_that_names_no_items_changes_nothing_and_leads_back(items: str, boss: Client) -> None:
    answer = boss.post(url("cancel"), {"items": items, "confirmed": "yes"})
    assert answer.status_code == 302
    assert answer["Location"] == LIST


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example/", "/admin/logout/", "javascript:alert(1)"])
def test_the_way_back_leads_nowhere_else(back: str, boss: Client) -> None:
    item = WorkItemFactory()
    answer = ask(boss, "cancel", item, confirmed="yes", back=back)
    assert answer["Location"] == LIST


def test_an_unknown_verb_is_not_found(boss: Client) -> None:
    assert boss.post(url("delete"), {"items": ""}).status_code == 404
