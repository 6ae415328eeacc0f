"""Triggers in the admin: every edit is what the operation makes of it, with the permission for it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from runtime.models import Trigger
from runtime.operations.triggers import set_trigger
from tests.console.conftest import Page

VALUES = {
    "name": "alert",
    "namespace": "",
    "engine": "watchlist",
    "on": "done",
    "condition": 'result.status == "down"',
    "target": "counter",
    "payload": '{"count_to": "$result.n"}',
    "options": "{}",
    "enabled": "on",
    "note": "",
}


def address(page: str, *arguments: Any) -> str:
    return reverse(f"admin:roost_trigger_{page}", args=arguments)


def test_a_trigger_is_added_edited_and_deleted_with_a_log_entry_each(boss: Client) -> None:
    assert boss.post(address("add"), VALUES).status_code == 302
    made = Trigger.objects.get()
    assert (made.condition, made.payload) == ('result.status == "down"', {"count_to": "$result.n"})
    assert Page(boss.get(address("change", made.pk))).refused == []
    assert boss.post(address("change", made.pk), {**VALUES, "note": "x", "shown_version": "1"}).status_code == 302
    assert (Trigger.objects.get().note, Trigger.objects.get().row_version) == ("x", 2)
    assert "alert" in Page(boss.get(address("changelist"))).text
    assert boss.post(address("delete", made.pk), {"post": "yes"}).status_code == 302
    assert not Trigger.objects.exists()
    assert LogEntry.objects.count() == 3


@pytest.mark.parametrize(
    "values",
    [{"condition": "1 +"}, {"target": "nobody"}, {"payload": '"$x"'}, {"target": "watchlist", "condition": ""}],
)
def test_what_the_operation_refuses_is_told_on_the_form(boss: Client, values: dict[str, str]) -> None:
    answer = boss.post(address("add"), {**VALUES, **values})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not Trigger.objects.exists()


@pytest.mark.scenario("B18")
def test_triggers_are_edited_only_with_the_permission(staff: Any, log_in: Any) -> None:
    made = set_trigger("alert", engine="watchlist", target="counter")
    reader = log_in(staff("view_trigger", name="reader"))
    assert reader.get(address("change", made.pk)).status_code == 200
    for url in (address("add"), address("change", made.pk), address("delete", made.pk)):
        assert reader.post(url, VALUES).status_code == 403
    editor = log_in(staff("view_trigger", "change_trigger", name="editor"))
    assert editor.post(address("change", made.pk), {**VALUES, "shown_version": "1"}).status_code == 302
    assert Trigger.objects.get().condition == VALUES["condition"]


@pytest.mark.scenario("B18")
def test_a_payload_map_is_hidden_masked_or_shown_by_what_one_may(staff: Any, log_in: Any) -> None:
    made = set_trigger(
        "alert", engine="watchlist", target="webhook_delivery", payload={"api_key": "swordfish", "plain": "herring"}
    )
    seen = {}
    for name, more in {
        "viewer": [],
        "reader": ["view_payload"],
        "changer": ["change_trigger"],
        "editor": ["change_trigger", "view_payload"],
    }.items():
        html = log_in(staff("view_trigger", *more, name=name)).get(address("change", made.pk)).content.decode()
        seen[name] = ("swordfish" in html, "herring" in html)
    assert seen == {
        "viewer": (False, False),
        "reader": (False, True),
        "changer": (False, False),
        "editor": (True, True),
    }


def test_who_may_not_see_the_payload_map_keeps_it_by_an_edit(staff: Any, log_in: Any) -> None:
    made = set_trigger("alert", engine="watchlist", target="counter", payload={"count_to": 3})
    changer = log_in(staff("view_trigger", "change_trigger"))
    sent = {**VALUES, "condition": "", "note": "x", "payload": '{"count_to": 9}', "shown_version": "1"}
    assert changer.post(address("change", made.pk), sent).status_code == 302
    made.refresh_from_db()
    assert (made.note, made.payload) == ("x", {"count_to": 3})
