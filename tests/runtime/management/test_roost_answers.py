"""`roost waits`, `approvals`, `approve`, `reject`, `respond` and `signal`."""

from __future__ import annotations

import pytest

from runtime.choices import State, WaitState
from runtime.models import Signal, Wait
from tests.factories import SignalFactory, WaitFactory, WorkItemFactory
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db


def test_what_is_asked_for_is_listed() -> None:
    approval = WaitFactory(prompt="Refund 120 €?", quorum=2)
    signal = WaitFactory(kind="signal", key="go")
    WaitFactory(state=WaitState.WITHDRAWN)
    assert [row["id"] for row in document("waits", "list")["waits"]] == [str(signal.pk), str(approval.pk)]
    assert [row["id"] for row in document("approvals", "list")["waits"]] == [str(approval.pk)]
    assert [row["key"] for row in document("waits", "list", signal.work_item_id)["waits"]] == ["go"]
    assert len(document("waits", "list", "--all")["waits"]) == 3
    assert len(document("waits", "list", "--kind", "signal", "--namespace", "other")["waits"]) == 0
    table = run("approvals", "list")
    assert "Refund 120 €?" in table
    assert "0/2" in table
    assert "Nothing is asked for." in run("waits", "list", WorkItemFactory().pk)


def test_lists_are_paged() -> None:
    made = [WaitFactory() for _ in range(3)]
    page = document("waits", "list", "--limit", 2)
    assert page["next"] == str(made[1].pk)
    assert [row["id"] for row in document("waits", "list", "--before", page["next"])["waits"]] == [str(made[0].pk)]


@pytest.mark.scenario("S5")
def test_a_person_answers_from_the_command_line() -> None:
    item = WaitFactory(key="refund").work_item
    assert document("approve", item.pk, "refund", "--reason", "fine")["state"] == State.QUEUED
    assert Wait.objects.get().resolved_by.startswith("cli:")
    code, message = refused("approve", item.pk)
    assert code == 1
    assert "queued" in message
    item = WaitFactory(on_reject="fail").work_item
    assert "failed (rejected)" in run("reject", item.pk)


def test_an_input_is_json() -> None:
    item = WaitFactory(kind="input", schema={"type": "string"}).work_item
    assert refused("respond", item.pk, "--value", "yes")[0] == 2
    assert refused("respond", item.pk, "--value", "1")[0] == 2
    assert document("respond", item.pk, "--value", '"yes"')["reason"] == "answered"


@pytest.mark.scenario("S7", "L27")
def test_signals_are_sent_to_items_and_to_names() -> None:
    item = WaitFactory(kind="signal", key="go").work_item
    first = document("signal", "go", "--item", item.pk, "--payload", '{"n": 1}', "--delivery-id", "d")
    assert document("signal", "go", "--item", item.pk, "--payload", '{"n": 1}', "--delivery-id", "d") == first
    assert Wait.objects.get().resolution == {"n": 1}
    run("signal", "later", "--namespace", "mine")
    assert Signal.objects.get(name="later").namespace == "mine"
    assert refused("signal", "go", "--item", item.pk, "--namespace", "mine")[0] == 2


@pytest.mark.scenario("S7")
def test_signals_that_nobody_has_taken_are_listed_and_paged() -> None:
    item = WorkItemFactory()
    named, own = SignalFactory(name="paid", payload={"order": 7}, actor="shop"), SignalFactory(target=item)
    taken = SignalFactory(taken_by=WaitFactory(kind="signal"))
    spent = SignalFactory(consumed_version=3, namespace="other")
    page = document("signals", "list", "--limit", 1)
    assert ([row["id"] for row in page["signals"]], page["next"]) == ([str(own.pk)], str(own.pk))
    [row] = document("signals", "list", "--before", page["next"])["signals"]
    assert (row["id"], row["name"], row["payload"], row["target_id"]) == (str(named.pk), "paid", {"order": 7}, None)
    assert [row["id"] for row in document("signals", "list", "--item", item.pk)["signals"]] == [str(own.pk)]
    assert [row["id"] for row in document("signals", "list", "--name", "paid")["signals"]] == [str(named.pk)]
    everything = document("signals", "list", "--all")["signals"]
    assert {row["id"] for row in everything} == {str(one.pk) for one in (named, own, taken, spent)}
    assert [row["id"] for row in document("signals", "list", "--all", "--namespace", "other")["signals"]] == [
        str(spent.pk)
    ]
    table = run("signals", "list", "--all")
    assert '{"order": 7}' in table
    assert "No signal is left." in run("signals", "list", "--name", "none")
    assert refused("signals", "list", "--before", "x")[0] == 2
