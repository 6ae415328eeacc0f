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
from tests.factories import WorkItemFactory

WRONG = ['{"a": 1,}', "{", "NaN", "[" * 5000, '"\\ud800"', "1" * 5000, "'single'"]


@pytest.mark.scenario("S11")
def test_a_fork_goes_on_from_the_version_and_the_state_that_were_typed(boss: Client) -> None:
    item = WorkItemFactory(failed=True, version=3)
    asked = ask(boss, "fork", item)
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
