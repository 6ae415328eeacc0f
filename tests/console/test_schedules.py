"""Schedules in the admin: every edit is what the operation makes of it, with the permission for it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from runtime.models import Schedule
from runtime.operations.schedules import set_schedule
from tests.console.conftest import Page

WORK = {"engine": "counter", "payload": '{"count_to": 3}', "options": "{}"}
USUAL = {"catch_up": "last", "enabled": "on", "timezone": "UTC", "time_field": "", "note": ""}
VALUES = {"namespace": "default", "name": "nightly", **WORK, **USUAL, "kind": "cron", "cron": "30 2 * * *"}


def address(page: str, *arguments: Any) -> str:
    return reverse(f"admin:roost_schedule_{page}", args=arguments)


def found() -> Schedule:
    row: Schedule = Schedule.objects.get()
    return row


def test_a_schedule_is_added_edited_and_deleted_with_a_log_entry_each(boss: Client) -> None:
    assert boss.post(address("add"), VALUES).status_code == 302
    made = found()
    assert (made.name, made.cron, made.payload) == ("nightly", "30 2 * * *", {"count_to": 3})
    assert made.next_run is not None
    page = Page(boss.get(address("change", made.pk)))
    assert page.refused == []
    assert page.text.count("02:30 UTC") == 5
    edited = {**VALUES, "cron": "0 4 * * *", "note": "x", "shown_version": "1"}
    assert boss.post(address("change", made.pk), edited).status_code == 302
    assert (found().cron, found().note, found().row_version) == ("0 4 * * *", "x", 2)
    assert found().next_run != made.next_run
    assert "0 4 * * *" in Page(boss.get(address("changelist"))).text
    assert boss.post(address("delete", made.pk), {"post": "yes"}).status_code == 302
    assert not Schedule.objects.exists()
    assert LogEntry.objects.count() == 3


@pytest.mark.parametrize(
    "values",
    [
        {"cron": "61 * * * *"},
        {"cron": ""},
        {"timezone": "Nowhere"},
        {"engine": "nobody"},
        {"options": '{"x": 1}'},
        {"kind": "interval"},
        {"kind": "once", "anchor_0": "2001-01-01", "anchor_1": "00:00"},
        {"payload": '{"count_to": "x"}'},
    ],
)
def test_what_the_operation_refuses_is_told_on_the_form(boss: Client, values: dict[str, str]) -> None:
    answer = boss.post(address("add"), {**VALUES, **values})
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not Schedule.objects.exists()


def test_an_edit_of_what_somebody_changed_meanwhile_is_refused(boss: Client) -> None:
    made = set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    set_schedule("nightly", note="first")
    answer = boss.post(address("change", made.pk), {**VALUES, "shown_version": "1"})
    assert "Somebody else changed this meanwhile" in Page(answer).text
    assert found().note == "first"


def test_an_edit_that_leaves_the_times_alone_leaves_the_next_run_alone(boss: Client) -> None:
    made = set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    assert made.anchor is not None
    anchor = made.anchor.isoformat().split("+")[0].split("T")
    values = {**VALUES, "kind": "interval", "cron": "", "every": "60", "anchor_0": anchor[0], "anchor_1": anchor[1]}
    assert boss.post(address("change", made.pk), {**values, "note": "y", "shown_version": "1"}).status_code == 302
    assert (found().note, found().next_run) == ("y", made.next_run)


def test_a_schedules_times_are_shown_to_the_second(boss: Client) -> None:
    made = set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    assert made.next_run is not None
    shown = f"<span>{made.next_run:%Y-%m-%d}</span> <span>{made.next_run:%H:%M:%S}</span></time>"
    assert shown in boss.get(address("changelist")).content.decode()


@pytest.mark.scenario("B18")
def test_schedules_are_edited_only_with_the_permission(staff: Any, log_in: Any) -> None:
    made = set_schedule("nightly", engine="counter", payload={"count_to": 3}, every=60)
    reader = log_in(staff("view_schedule", name="reader"))
    assert reader.get(address("change", made.pk)).status_code == 200
    for url in (address("add"), address("change", made.pk), address("delete", made.pk)):
        assert reader.post(url, VALUES).status_code == 403
    editor = log_in(staff("view_schedule", "change_schedule", name="editor"))
    assert editor.post(address("change", made.pk), VALUES).status_code == 302
    assert editor.post(address("delete", made.pk), {"post": "yes"}).status_code == 403
    assert found().cron == "30 2 * * *"
