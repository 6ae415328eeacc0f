"""Enqueue by a form that is made of the engine's payload schema."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.test import Client
from django.urls import reverse

from runtime import registry
from runtime.choices import State
from runtime.models import Event, WorkItem
from tests.console.conftest import Page
from tests.console.test_verbs import told

PAGE = "/admin/roost/workitem/enqueue/"
CLICK = "0" * 32


def shown(client: Client, **query: str) -> Page:
    answer = client.get(PAGE, query)
    assert answer.status_code == 200
    page = Page(answer)
    assert page.refused == []
    return page


def send(client: Client, engine: str = "counter", click: str = CLICK, raw: str = "", **typed: str) -> Any:
    """Press the button; `count_to="3"` fills a field of the payload, `_priority="3"` one of the options."""
    fields = {
        f"value-{name[1:]}" if name.startswith("_") else f"value-value.{name}" if name else "value-value": text
        for name, text in typed.items()
    }
    return client.post(PAGE, {"engine": engine, "click": click, **({"raw": raw} if raw else {}), **fields})


def wrong(answer: Any) -> dict[str, str]:
    """Return what is wrong with which field, by what is posted for it, as the page connects the two."""
    assert answer.status_code == 200
    form = answer.context["form"]
    found = {one.field.name: one.error for one in (*form.payload, *form.options) if one.error}
    html = answer.content.decode()
    assert html.count('aria-invalid="true"') == html.count("roost-wrong") == len(found)
    assert WorkItem.objects.count() == 0
    return found


def test_the_form_has_the_fields_of_the_schema_and_the_options(boss: Client) -> None:
    page = shown(boss, engine="counter")
    payload = ("count_to", "delay_seconds", "sleep", "fail_at", "fail_times")
    options = ("idempotency_key", "priority", "delay", "namespace", "reason")
    assert {f"value-value.{name}" for name in payload} | {f"value-{name}" for name in options} <= page.fields.keys()
    assert "permanent" in page.text, "a choice of the schema"
    assert page.tags.count("label") >= len(payload) + len(options) + 2


def test_an_item_is_enqueued_and_recorded_twice(boss: Client) -> None:
    answer = send(
        boss,
        count_to="3",
        fail_with='"permanent"',
        _priority="-2",
        _delay="60",
        _namespace="acme",
        _idempotency_key="k",
        _reason=" the first one was lost ",
    )
    item = WorkItem.objects.get()
    assert answer["Location"] == reverse("admin:roost_workitem_change", args=[item.pk])
    assert item.payload == {"count_to": 3, "fail_with": "permanent"}
    assert (item.state, item.priority, item.namespace, item.idempotency_key) == (State.QUEUED, -2, "acme", "k")
    assert 59 < (item.run_at - item.created_at).total_seconds() < 61
    event = Event.objects.get(work_item=item)
    assert (event.actor, event.reason, event.data) == ("boss", "the first one was lost", {"click": CLICK})
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag) == (str(item.pk), ADDITION)
    assert entry.change_message == f"enqueued: the first one was lost [{CLICK}]"
    assert str(item.pk) in told(answer)


def test_a_second_press_is_the_first_one(boss: Client) -> None:
    send(boss, count_to="3")
    again = send(boss, count_to="3")
    assert WorkItem.objects.count() == LogEntry.objects.count() == 1
    assert "There is such an item already" in told(again)
    other = send(boss, count_to="4")
    assert "This form was sent before, with something else in it." in Page(other).text
    send(boss, count_to="4", click="1" * 32)
    assert WorkItem.objects.count() == 2


def test_each_wrong_field_says_so_and_nothing_typed_is_lost(boss: Client) -> None:
    answer = send(boss, count_to="three", sleep="long", _priority="1.5", _delay="soon", _namespace="acme")
    assert wrong(answer) == {
        "value.count_to": "count_to: this is no whole number.",
        "value.sleep": "sleep: this is no number, such as 12 or 0.5.",
        "priority": "Priority: this is no whole number.",
        "delay": "Delay in seconds: this is no number, such as 12 or 0.5.",
    }
    page: Any = Page(answer)
    assert page.fields["value-value.count_to"] == "three"
    assert page.fields["value-namespace"] == "acme"
    assert "Please correct the 4 errors below." in page.text


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ({"count_to": "0"}, "value.count_to"),
        ({"count_to": "3", "sleep": "-1"}, "value.sleep"),
        ({"count_to": "3", "_priority": "99999"}, "priority"),
        ({"count_to": "3", "_delay": "-1"}, "delay"),
        ({"count_to": "3", "_namespace": "no spaces"}, "namespace"),
        ({"count_to": "3", "_idempotency_key": "k" * 201}, "idempotency_key"),
        ({"count_to": "3", "_reason": "r" * 501}, "reason"),
    ],
)
def test_what_the_operation_refuses_is_told_at_its_field(typed: dict[str, str], place: str, boss: Client) -> None:
    found = wrong(send(boss, **typed))
    assert list(found) == [place]
    assert LogEntry.objects.count() == 0


def test_a_key_that_is_taken_is_told_at_the_key(boss: Client) -> None:
    send(boss, count_to="3", _idempotency_key="k")
    answer = send(boss, count_to="4", _idempotency_key="k", click="1" * 32)
    form = answer.context["form"]
    assert [one.field.name for one in form.options if one.error] == ["idempotency_key"]
    assert WorkItem.objects.count() == 1


def test_an_engine_without_a_schema_takes_checked_json(boss: Client) -> None:
    page = shown(boss, engine="refund")
    assert "Payload (JSON)" in page.text
    for text, said in (("{", "no JSON"), ('{"x": 1}', "payload")):
        found = wrong(boss.post(PAGE, {"engine": "refund", "click": CLICK, "value-value": text}))
        assert list(found) == ["value"]
        assert said in found["value"]
    boss.post(PAGE, {"engine": "hop", "click": CLICK, "value-value": '{"steps": [1, 2]}'})
    assert WorkItem.objects.get().payload == {"steps": [1, 2]}


def test_one_may_write_json_in_place_of_the_fields(boss: Client) -> None:
    assert "Back to the fields" in shown(boss, engine="counter", raw="1").text
    form = {"engine": "counter", "raw": "1", "click": CLICK}
    assert list(wrong(boss.post(PAGE, {**form, "value-value": '{"count_to": 0}'}))) == ["value"]
    boss.post(PAGE, {**form, "value-value": '{"count_to": 7}'})
    assert WorkItem.objects.get().payload == {"count_to": 7}


@pytest.mark.parametrize("engine", ["nobody", "bulk_verb", "<b>"])
def test_an_engine_that_people_do_not_enqueue_for_is_refused(engine: str, boss: Client) -> None:
    for answer in (boss.get(PAGE, {"engine": engine}), boss.post(PAGE, {"engine": engine, "click": CLICK})):
        assert f"There is no engine {engine} to enqueue for." in Page(answer).text
        assert answer.context["form"] is None
    assert WorkItem.objects.count() == 0


def test_an_engine_that_cannot_be_loaded_is_said_to_be(boss: Client, settings: Any) -> None:
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "broken_here": "no.such.module.Engine"}
    assert "broken_here" in registry.names()
    assert "cannot be imported" in shown(boss, engine="broken_here").text


def test_the_list_leads_to_the_form_for_those_who_may_enqueue(staff: Any, log_in: Any, boss: Client) -> None:
    listing = reverse("admin:roost_workitem_changelist")
    assert f'href="{PAGE}"' in boss.get(listing).content.decode()
    viewer = log_in(staff("view_workitem"))
    assert f'href="{PAGE}"' not in viewer.get(listing).content.decode()
    assert send(viewer, count_to="3").status_code == 403
    assert WorkItem.objects.count() == 0
