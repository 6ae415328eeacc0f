from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from runtime.exceptions import Forbidden, InvalidInput, NotFound, StaleVersion, UnknownEngine
from runtime.models import Trigger, Wait, WorkItem
from runtime.operations import triggering
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.follow_up import follow_up
from runtime.operations.triggers import SetTrigger, remove_trigger, set_trigger
from runtime.queries import verify
from runtime.testing import drain

pytestmark = pytest.mark.django_db
LEADS = {"engine": "echo", "target": "picky"}


@pytest.mark.scenario("L33")
def test_a_chain_of_triggers_runs_to_its_end() -> None:
    set_trigger("greet", engine="echo", condition="result.greet", target="picky", payload={"name": "$result.who"})
    set_trigger("again", engine="picky", target="echo", condition="result.name != 'ann'", payload={"greet": False})
    first = enqueue("echo", {"greet": True, "who": "bob"}).pk
    drain(engines=["echo", "picky"])
    told = [(item.engine, item.payload, item.state) for item in WorkItem.objects.order_by("pk")]
    assert told == [
        ("echo", {"greet": True, "who": "bob"}, "done"),
        ("picky", {"name": "bob"}, "done"),
        ("echo", {"greet": False}, "done"),
    ]
    second = WorkItem.objects.get(engine="picky")
    assert (second.parent_id, WorkItem.objects.get(parent=second).engine) == (first, "echo")


@pytest.mark.scenario("L33")
def test_a_triggered_child_is_linked_and_a_cancel_cascades_through_it(settings: Any) -> None:
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "gather": "tests.ledger.engines.Gather"}
    values = {"condition": "result.greet", "payload": {"engine": "echo", "kids": 2, "of": "$item.id"}}
    set_trigger("gather", engine="echo", target="gather", **values)
    first = enqueue("echo", {"greet": True})
    enqueue("echo", {"greet": False})
    drain(engines=["echo", "gather"], max_steps=3)
    [child] = WorkItem.objects.filter(engine="gather")
    kids = list(WorkItem.objects.filter(parent=child))
    assert (child.parent_id, child.relation, child.payload["of"]) == (first.pk, "trigger", str(first.pk))
    assert (child.state, [kid.state for kid in kids]) == ("waiting", ["queued"] * 2)
    # The one that fired the trigger has ended; brought back, it is cancelled with all that came of it.
    follow_up(first.pk)
    cancel(first.pk, reason="not wanted", actor="ann")
    for item in (first, child, *kids):
        item.refresh_from_db()
        assert item.state == "cancelled"
        assert item.events.latest("seq").kind == "cancelled"
    assert not Wait.objects.filter(state="open").exists()
    assert drain(engines=["echo", "gather"], skip_delays=True) == 0
    assert list(verify.everything()) == []


def test_a_trigger_is_set_changed_and_removed() -> None:
    made = set_trigger("greet", **LEADS, on="failed", payload={"name": "$error.code"}, options={"priority": 3})
    assert (made.row_version, made.namespace, made.enabled) == (1, "", True)
    changed = set_trigger("greet", namespace="tenant", note="why")
    assert (changed.row_version, changed.on, changed.payload, changed.namespace) == (
        2, "failed", {"name": "$error.code"}, "tenant",
    )  # fmt: skip
    assert set_trigger("greet", note="why").row_version == 2
    remove_trigger("greet")
    assert not Trigger.objects.exists()
    with pytest.raises(NotFound, match="roost triggers list"):
        remove_trigger("greet")


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"engine": ""}, "engine"),
        ({"target": ""}, "target"),
        ({"on": "cancelled"}, "on"),
        ({"condition": "result ="}, "condition"),
        ({"condition": 5}, "condition"),
        ({"payload": {"a": "$nowhere"}}, "payload"),
        ({"payload": float("nan")}, "payload"),
        ({"options": {"parent": "x"}}, "options"),
        ({"options": {"deadline": "soon"}}, "deadline"),
        ({"namespace": "no good"}, "namespace"),
        ({"note": "x" * 501}, "note"),
        ({"surprise": 1}, "name"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        set_trigger("odd", **{**LEADS, **values})
    assert caught.value.field == field
    assert not Trigger.objects.exists()


def test_both_engines_have_to_be_known() -> None:
    for values in ({**LEADS, "engine": "nobody"}, {**LEADS, "target": "nobody"}):
        with pytest.raises(UnknownEngine):
            set_trigger("odd", **values)


def test_a_ring_that_never_ends_is_refused(settings: Any) -> None:
    with pytest.raises(InvalidInput, match="for ever"):
        set_trigger("self", engine="echo", target="echo")
    set_trigger("there", engine="echo", target="picky")
    with pytest.raises(InvalidInput, match="for ever"):
        set_trigger("back", engine="picky", target="echo")
    set_trigger("back", engine="picky", target="echo", condition="result.tries < 3")
    with pytest.raises(InvalidInput, match="for ever"):
        set_trigger("back", condition="")
    set_trigger("back", condition="", enabled=False)
    remove_trigger("there")
    settings.ROOST_TRIGGERS = {"there": {"engine": "echo", "target": "picky"}}
    with pytest.raises(InvalidInput, match="for ever"):
        set_trigger("back", enabled=True)
    with pytest.raises(InvalidInput, match="ROOST_TRIGGERS"):
        set_trigger("there", **LEADS)


def test_an_edit_of_what_somebody_changed_meanwhile_is_refused() -> None:
    made = set_trigger("greet", **LEADS)
    set_trigger("greet", note="first")
    with pytest.raises(StaleVersion):
        SetTrigger("greet", row_version=made.row_version - 1, note="second").execute()


def test_what_is_wrong_in_the_settings_stops_nothing(settings: Any) -> None:
    settings.ROOST_TRIGGERS = {"odd": {"engine": 5}, "good": {**LEADS, "payload": {"name": "x"}}}
    assert [rule.name for rule in triggering.rules("default")] == ["good"]
    enqueue("echo", 1)
    drain(engines=["echo", "picky"])
    assert WorkItem.objects.filter(engine="picky").count() == 1


def test_each_verb_asks_for_its_permission(django_user_model: Any) -> None:
    set_trigger("greet", **LEADS)
    for by in (django_user_model.objects.create_user("nobody"), AnonymousUser()):
        with pytest.raises(Forbidden, match=r"roost\.delete_trigger"):
            remove_trigger("greet", by=by)
        with pytest.raises(Forbidden, match=r"roost\.change_trigger"):
            SetTrigger("greet", by=by, note="x").check()
        with pytest.raises(Forbidden, match=r"roost\.add_trigger"):
            set_trigger("new", by=by, **LEADS)
