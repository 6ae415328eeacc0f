"""Fork and follow-up in the admin: what is typed is checked, used, and never lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from runtime.choices import State
from runtime.models import Event, Wait, WorkItem
from tests.console.conftest import Page
from tests.console.test_verbs import ask, confirm, told
from tests.factories import WorkItemFactory, now

WRONG = ['{"a": 1,}', "{", "NaN", "[" * 5000, '"\\ud800"', "1" * 5000, "'single'"]


@pytest.mark.scenario("S11")
def test_a_fork_goes_on_from_the_version_and_the_state_that_were_typed(boss: Client) -> None:
    item = WorkItemFactory(failed=True, version=3)
    asked = ask(boss, "fork", item)
    assert "1 new item will be made of this one" in Page(asked).text
    assert "will change" not in Page(asked).text
    page = Page(asked)
    assert page.refused == []
    assert "Edited state (JSON)" in page.text
    fields = {"value-version": " 1 ", "value-state": '{"count": "é"}', "reason": "another try"}
    answer = confirm(boss, asked, **fields)
    assert answer.status_code == 302
    made = WorkItem.objects.get(forked_from=item)
    assert (made.forked_version, made.snapshots.get().data, made.state) == (1, {"count": "é"}, State.QUEUED)
    assert WorkItem.objects.get(pk=item.pk).state == State.FAILED
    assert f'Fork: 1 item made. <a href="/admin/roost/workitem/{made.pk}/change/">{made.pk}</a>' in told(answer)
    entries = LogEntry.objects.values_list("object_id", "change_message")
    click = Event.objects.filter(work_item=made, kind="forked").get().data["click"]
    assert set(entries) == {(str(one.pk), f"forked: another try [{click}]") for one in (item, made)}


def test_empty_fields_fork_the_latest_state_and_a_second_press_makes_no_second_fork(boss: Client) -> None:
    item = WorkItemFactory(done=True, version=2)
    asked = ask(boss, "fork", item)
    confirm(boss, asked, **{"value-version": "", "value-state": "  "})
    again = confirm(boss, asked)
    made = WorkItem.objects.get(forked_from=item)
    assert (made.forked_version, made.snapshots.get().data) == (2, {"count": 2})
    assert "changed since" in Page(again).text


def test_a_follow_up_gives_the_next_step_what_was_typed(boss: Client) -> None:
    item = WorkItemFactory(done=True)
    confirm(boss, ask(boss, "follow_up", item), **{"value-input": '["more"]'})
    assert WorkItem.objects.get(pk=item.pk).state == State.QUEUED
    assert Wait.objects.get(work_item=item, key="follow_up").resolution == ["more"]


@pytest.mark.scenario("B10")
@pytest.mark.parametrize("text", WRONG)
@pytest.mark.parametrize(("verb", "field"), [("fork", "value-state"), ("follow_up", "value-input")])
def test_what_is_no_json_is_one_clear_error_and_nothing_typed_is_lost(
    boss: Client, verb: str, field: str, text: str
) -> None:
    item = WorkItemFactory(done=True)
    again = confirm(boss, ask(boss, verb, item), **{field: text, "reason": "because <b>"})
    assert again.status_code == 200
    html = again.rendered_content
    assert html.count("errornote") == 1
    assert text.replace('"', "&quot;").replace("'", "&#x27;") in html
    assert "because &lt;b&gt;" in html
    assert (WorkItem.objects.count(), WorkItem.objects.get(pk=item.pk).state) == (1, State.DONE)


@pytest.mark.parametrize("version", ["x", "-1", "1.5", "9" * 30, "7"])
def test_what_is_no_version_is_said_and_one_that_is_not_kept_too(boss: Client, version: str) -> None:
    item = WorkItemFactory(done=True)
    typed = {"value-state": '{"precious": 1}', "value-version": version}
    again = confirm(boss, ask(boss, "fork", item), **typed)
    page: Any = Page(again)
    assert WorkItem.objects.count() == 1
    assert "whole number" in page.text or "no snapshot of version 7" in page.text
    assert page.fields["value-version"] == version
    assert "precious" in page.text
    made = confirm(boss, again, **{**typed, "value-version": "0"})
    assert (made.status_code, WorkItem.objects.count()) == (302, 2)


def test_what_was_typed_stays_to_be_read_when_the_item_allows_it_no_more(boss: Client) -> None:
    item = WorkItemFactory(done=True)
    asked = ask(boss, "follow_up", item)
    WorkItem.objects.get(pk=item.pk).compare_and_set(state=State.QUEUED, finished_at=None)
    page = Page(confirm(boss, asked, **{"value-input": '{"precious": 1}'}))
    assert "Nothing here can change that way." in page.text
    assert '{"precious": 1}' in page.text


@pytest.mark.scenario("S11")
def test_a_fork_takes_another_payload_another_version_of_the_engine_and_a_delay(boss: Client) -> None:
    item = WorkItemFactory(done=True, version=1)
    asked = ask(boss, "fork", item)
    for label in ("Another payload (JSON)", "Version of the engine", "Delay (seconds)"):
        assert label in Page(asked).text
    typed = {"value-payload": '{"count_to": 9}', "value-engine_version": " 2 ", "value-delay": "3600"}
    assert confirm(boss, asked, **typed).status_code == 302
    made = WorkItem.objects.get(forked_from=item)
    assert (made.payload, made.engine_version) == ({"count_to": 9}, "2")
    assert made.run_at > now(3000)


@pytest.mark.parametrize(
    ("field", "text", "told_of"),
    [
        ("value-payload", '{"count_to": "many"}', "count_to"),
        ("value-engine_version", "x" * 51, "at most 50"),
        ("value-delay", "soon", "no number"),
        ("value-delay", "-1", "delay"),
    ],
)
def test_what_a_fork_cannot_take_is_told_and_nothing_typed_is_lost(
    boss: Client, field: str, text: str, told_of: str
) -> None:
    item = WorkItemFactory(done=True, version=1)
    again = confirm(boss, ask(boss, "fork", item), **{"value-state": '{"precious": 1}', field: text})
    assert again.status_code == 200
    assert told_of in again.context["error"]
    assert "precious" in Page(again).text
    assert WorkItem.objects.count() == 1


def test_a_running_item_is_paused_when_its_step_has_ended_or_at_once(boss: Client) -> None:
    later, at_once = WorkItemFactory(running=True), WorkItemFactory(running=True)
    confirm(boss, ask(boss, "pause", later), **{"value-now": "false"})
    confirm(boss, ask(boss, "pause", at_once), **{"value-now": "true"})
    later.refresh_from_db()
    assert (later.state, later.pause_requested) == (State.RUNNING, True)
    assert WorkItem.objects.get(pk=at_once.pk).state == State.PAUSED
    asked = ask(boss, "pause", later)
    assert "1 of these changes only if you say it." in Page(asked).text
    assert "At once: this is needed." in Page(confirm(boss, asked)).text
    assert "pause it with now" in Page(confirm(boss, asked, **{"value-now": "false"})).text
    assert confirm(boss, asked, **{"value-now": "true"}).status_code == 302
    assert WorkItem.objects.get(pk=later.pk).state == State.PAUSED


@pytest.mark.parametrize("text", ["maybe", "1", "null"])
def test_at_once_is_yes_or_no(boss: Client, text: str) -> None:
    item = WorkItemFactory(running=True)
    again = confirm(boss, ask(boss, "pause", item), **{"value-now": text})
    assert "choose one of the answers" in again.context["error"]
    assert not WorkItem.objects.get(pk=item.pk).pause_requested


def test_a_paused_item_is_resumed_for_some_steps(boss: Client) -> None:
    item = WorkItemFactory(paused=True, steps_total=4)
    for text in ("0", "x"):
        assert confirm(boss, ask(boss, "resume", item), **{"value-steps": text}).context["error"]
    assert WorkItem.objects.get(pk=item.pk).state == State.PAUSED
    assert confirm(boss, ask(boss, "resume", item), **{"value-steps": "2"}).status_code == 302
    item.refresh_from_db()
    assert (item.state, item.pause_at_step) == (State.QUEUED, 6)


@pytest.mark.parametrize("verb", ["redrive", "follow_up"])
def test_an_item_that_used_up_its_steps_is_given_more(boss: Client, verb: str) -> None:
    item = WorkItemFactory(failed=True, reason="max_steps", max_steps=5, steps_total=5)
    asked = ask(boss, verb, item)
    assert "1 of these changes only if you say it." in Page(asked).text
    assert "Steps allowed: this is needed." in Page(confirm(boss, asked)).text
    assert "above 5" in Page(confirm(boss, asked, **{"value-max_steps": "5"})).text
    assert WorkItem.objects.get(pk=item.pk).state == State.FAILED
    assert confirm(boss, asked, **{"value-max_steps": "9"}).status_code == 302
    item.refresh_from_db()
    assert (item.state, item.max_steps) == (State.QUEUED, 9)


def test_of_several_dead_letters_those_that_used_up_their_steps_are_counted_and_told(boss: Client) -> None:
    usual = WorkItemFactory(failed=True)
    used_up = WorkItemFactory(failed=True, reason="max_steps", max_steps=5, steps_total=5)
    asked = ask(boss, "redrive", usual, used_up)
    assert "1 of these changes only if you say it." in Page(asked).text
    words = told(confirm(boss, asked))
    assert "1 item changed" in words
    assert "above 5" in words
    assert WorkItem.objects.get(pk=usual.pk).state == State.QUEUED
    assert WorkItem.objects.get(pk=used_up.pk).state == State.FAILED
