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
