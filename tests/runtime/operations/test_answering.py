"""Approve, reject and respond: who may, what fits, and that every answer counts once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission

from runtime.choices import EventKind, Reason, State, WaitState
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound, StaleVersion
from runtime.models import Wait, WorkItem
from runtime.models.workitem import new_id
from runtime.operations.approve import Approve, approve
from runtime.operations.reject import reject
from runtime.operations.respond import respond
from tests.factories import WaitFactory, WorkItemFactory
from tests.runtime.operations.looking import fresh, last_event, values

pytestmark = pytest.mark.django_db

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def user(name: str, *permissions: str) -> Any:
    """Return a user with these permissions of Roost's."""
    made = get_user_model().objects.create_user(name)
    made.user_permissions.set(Permission.objects.filter(codename__in=permissions, content_type__app_label="roost"))
    return made


def asked(kind: str = "approval", **more: Any) -> WorkItem:
    """Return an item that waits for one thing."""
    item: WorkItem = WaitFactory(kind=kind, **more).work_item
    return item


@pytest.mark.scenario("S5")
def test_approving_leaves_an_event_with_who_and_why() -> None:
    item = asked(key="refund")
    ann = user("ann", "approve_wait")
    assert approve(item.pk, by=ann, reason="fine").state == State.QUEUED
    event = last_event(item)
    assert event.kind == EventKind.WOKEN
    told = item.events.get(kind=EventKind.APPROVED)
    assert (told.actor, told.reason, told.data) == ("ann", "fine", {"key": "refund"})


@pytest.mark.parametrize(
    ("verb", "kind"),
    [(approve, "approval"), (reject, "approval"), (respond, "input")],
)
def test_without_the_permission_nothing_happens(verb: Callable[..., Any], kind: str) -> None:
    item = asked(kind)
    before = values(item)
    with pytest.raises(Forbidden):
        verb(item.pk, by=user("bob", "cancel_workitem"))
    assert values(item) == before


@pytest.mark.scenario("S5")
def test_a_quorum_needs_different_people() -> None:
    item = asked(quorum=2)
    assert approve(item.pk, actor="ann").state == State.WAITING
    assert last_event(item).data == {"key": "question", "votes": 1, "of": 2}
    with pytest.raises(Conflict, match="ann has approved"):
        approve(item.pk, actor="ann")
    assert approve(item.pk, actor="bea").state == State.QUEUED
    assert Wait.objects.get().resolved_by == "ann, bea"


def test_a_vote_without_a_name_is_one_person_and_told_as_such() -> None:
    item = asked(quorum=2)
    approve(item.pk)
    with pytest.raises(Conflict, match="an unnamed actor has approved"):
        approve(item.pk)
    approve(item.pk, actor="bea")
    assert Wait.objects.get().resolved_by == "somebody unnamed, bea"


def test_one_no_is_enough() -> None:
    item = asked(quorum=3, on_reject="fail")
    approve(item.pk, actor="ann")
    failed = reject(item.pk, actor="bea", reason="no")
    assert (failed.state, failed.reason) == (State.FAILED, Reason.REJECTED)


@pytest.mark.scenario("S5")
@pytest.mark.parametrize("state", ["queued", "running", "done", "failed", "cancelled"])
def test_where_nothing_is_asked_the_state_is_named(state: str) -> None:
    item = WorkItemFactory(**({} if state == "queued" else {state: True}))
    before = values(item)
    with pytest.raises(Conflict) as caught:
        approve(item.pk)
    assert (caught.value.state, values(item)) == (state, before)


def test_an_input_is_not_approved_and_an_approval_not_answered() -> None:
    with pytest.raises(Conflict, match="no open approval"):
        approve(asked("input").pk)
    with pytest.raises(Conflict, match="no open input"):
        respond(asked("approval").pk)


def test_among_several_one_must_be_named() -> None:
    item = asked(key="a")
    other = WaitFactory(work_item=item, key="b")
    with pytest.raises(InvalidInput, match="'a', 'b'"):
        approve(item.pk)
    approve(wait=other.pk)
    assert Wait.objects.get(key="b").state == WaitState.RESOLVED
    assert approve(item.pk).state == State.QUEUED


def test_what_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound):
        approve(wait=new_id())
    with pytest.raises(NotFound):
        approve(WorkItemFactory().pk, wait=WaitFactory().pk)
    with pytest.raises(InvalidInput):
        approve()
    with pytest.raises(InvalidInput):
        approve(wait="x")


@pytest.mark.parametrize("value", [{"n": "1"}, {}, None, [1]])
def test_an_input_must_fit_its_schema(value: Any) -> None:
    item = asked("input", schema=SCHEMA)
    before = values(item)
    with pytest.raises(InvalidInput) as caught:
        respond(item.pk, value=value)
    assert caught.value.field.startswith("value")
    assert values(item) == before
    assert respond(item.pk, value={"n": 1}).state == State.QUEUED
    assert Wait.objects.get().resolution == {"n": 1}


def test_a_schema_never_fetches_anything() -> None:
    item = asked("input", schema={"$ref": "http://127.0.0.1:9/schema.json"})
    with pytest.raises(InvalidInput, match="refers to what it does not hold"):
        respond(item.pk, value=1)


@pytest.mark.scenario("S8")
def test_an_answer_counts_once() -> None:
    item = asked("input")
    respond(item.pk, value=1, actor="ann")
    with pytest.raises(Conflict, match="answered already by ann"):
        respond(item.pk, value=2)
    assert Wait.objects.get().resolution == 1


def test_checking_changes_nothing() -> None:
    item = asked()
    before = values(item)
    Approve(item.pk).check()
    assert values(item) == before
    assert fresh(item).state == State.WAITING


def test_an_answer_to_a_wait_that_somebody_wrote_since_is_refused() -> None:
    wait = WaitFactory(quorum=2)
    shown = wait.row_version
    approve(wait=wait.pk, actor="ann")
    with pytest.raises(StaleVersion, match="changed since version 1"):
        Approve(wait=wait.pk, wait_version=shown, actor="bob").execute()
    Approve(wait=wait.pk, wait_version=shown + 1, actor="bob").execute()
    wait.refresh_from_db()
    assert wait.state == WaitState.RESOLVED


def test_the_event_of_an_answer_carries_the_click_that_gave_it() -> None:
    item = asked(key="refund")
    approve(item.pk, click="abc-1")
    assert item.events.get(kind=EventKind.APPROVED).data == {"key": "refund", "click": "abc-1"}
    with pytest.raises(InvalidInput, match="click"):
        approve(item.pk, click="a b")
