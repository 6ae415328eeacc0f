"""Send a signal to whoever waits for its name."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from runtime.choices import EventKind, State
from runtime.models import Event, Signal, WorkItem
from tests.console.conftest import Page
from tests.console.test_verbs import told
from tests.factories import MailboxFactory, SignalFactory, WaitFactory

PAGE = "/admin/roost/mailbox/send/"
CLICK = "0" * 32


def send(client: Client, *, confirmed: bool = True, click: str = CLICK, **typed: str) -> Any:
    """Press the button: the one that sends, or the one that only looks."""
    fields = {f"value-{name}": text for name, text in typed.items()}
    return client.post(PAGE, {"click": click, **fields, **({"confirmed": "yes"} if confirmed else {})})


def waits_for(name: str, **values: Any) -> WorkItem:
    item: WorkItem = WaitFactory(kind="signal", key=name, **values).work_item
    return item


def test_it_first_says_who_would_get_it_and_sends_nothing(boss: Client) -> None:
    item, other = waits_for("paid"), waits_for("paid", work_item__namespace="acme")
    SignalFactory.create_batch(2, name="paid")
    assert "Send the signal" not in Page(boss.get(PAGE)).text
    answer = send(boss, confirmed=False, name="paid", payload='{"a": 1}')
    page: Any = Page(answer)
    assert page.refused == []
    assert "Send the signal" in page.text
    assert str(item.pk) in page.text
    assert str(other.pk) not in page.text
    assert "Signals of this name that nobody has taken yet: 2." in page.text
    assert page.fields["value-name"] == "paid"
    assert Signal.objects.count() == 2


def test_the_oldest_wait_gets_it_and_two_records_tell_of_it(boss: Client) -> None:
    item = waits_for("paid")
    answer = send(boss, name="paid", payload='{"amount": 7}')
    signal = Signal.objects.get()
    assert answer["Location"] == reverse("admin:roost_signal_change", args=[signal.pk])
    assert (signal.payload, signal.actor, signal.delivery_id) == ({"amount": 7}, "boss", f"console:{CLICK}")
    item.refresh_from_db()
    assert item.state == State.QUEUED
    assert Event.objects.get(work_item=item, kind=EventKind.SIGNALLED).data["by"] == "boss"
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.action_flag, entry.change_message) == (str(signal.pk), ADDITION, f"sent [{CLICK}]")
    assert "Sent: paid." in told(answer)


def test_a_second_press_is_the_first_one(boss: Client) -> None:
    send(boss, name="paid")
    assert "sent already" in told(send(boss, name="paid"))
    assert Signal.objects.count() == LogEntry.objects.count() == 1


@pytest.mark.parametrize(
    ("typed", "place"),
    [
        ({}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "paid", "namespace": "no spaces"}, "namespace"),
        ({"name": "paid", "payload": "{"}, "payload"),
        ({"name": "paid", "payload": '"\\ud800"'}, "payload"),
        ({"name": "paid", "delivery_id": "x" * 201}, "delivery_id"),
    ],
)
@pytest.mark.parametrize("confirmed", [True, False])
def test_what_is_wrong_is_told_at_its_field(typed: dict[str, str], place: str, confirmed: bool, boss: Client) -> None:
    answer = send(boss, confirmed=confirmed, **typed)
    assert answer.status_code == 200
    assert [one.field.name for one in answer.context["form"].fields if one.error] == [place]
    assert "Send the signal" not in Page(answer).text
    assert Signal.objects.count() == 0


def test_a_delivery_id_that_is_taken_is_told_at_the_id(boss: Client) -> None:
    send(boss, name="paid", delivery_id="d1")
    answer = send(boss, name="other", delivery_id="d1")
    assert [one.field.name for one in answer.context["form"].fields if one.error] == ["delivery_id"]
    assert Signal.objects.count() == 1


def test_many_who_wait_cost_the_queries_of_one(boss: Client) -> None:
    counts = []
    for count in (1, 49):
        for _ in range(count):
            waits_for("paid")
        with CaptureQueriesContext(connection) as queries:
            answer = send(boss, confirmed=False, name="paid")
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert len(answer.context["waiting"].waits) == 10
    assert "There are more." in Page(answer).text


def test_the_list_of_names_leads_to_it_with_the_name_filled_in(boss: Client, staff: Any, log_in: Any) -> None:
    box = MailboxFactory(name="paid & due", namespace="acme")
    listing = reverse("admin:roost_mailbox_changelist")
    html = boss.get(listing).content.decode()
    link = reverse("admin:roost_mailbox_send", query={"value-name": box.name, "value-namespace": "acme"})
    assert link.replace("&", "&amp;") in html
    fields: Any = Page(boss.get(link)).fields
    assert (fields["value-name"], fields["value-namespace"]) == ("paid & due", "acme")
    viewer = log_in(staff("view_mailbox"))
    assert PAGE not in viewer.get(listing).content.decode()


@pytest.mark.scenario("B18")
def test_who_may_not_send_is_refused(staff: Any, log_in: Any) -> None:
    for name, permissions in {"ann": ["view_mailbox", "view_payload"], "bob": ["send_signal"]}.items():
        assert send(log_in(staff(*permissions, name=name)), name="paid").status_code == 403
    assert Signal.objects.count() == 0


def test_whoever_sends_and_may_not_see_signals_is_led_to_the_names(staff: Any, log_in: Any) -> None:
    sender = log_in(staff("view_mailbox", "send_signal"))
    assert send(sender, name="paid")["Location"] == reverse("admin:roost_mailbox_changelist")
