"""One item is enqueued whole, in the caller's transaction, or not at all."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.db import transaction

from runtime import clock, wake
from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound
from runtime.models import Event, WorkItem
from runtime.operations.enqueue import Enqueue, aenqueue, enqueue
from tests.factories import WorkItemFactory
from tests.runtime.operations.looking import last_event, told
from tests.runtime.operations.test_spec import WRONG

pytestmark = pytest.mark.django_db


def test_an_item_is_stored_as_asked_for_with_its_first_event() -> None:
    item = enqueue(
        "picky",
        {"name": "Ada", "ü": [1, 2.5, None, "😀"]},
        namespace="acme",
        priority=-3,
        fair_key="customer 7",
        pool="gpu",
        resources=["domain:x"],
        max_steps=10,
        actor="importer",
    )
    assert (item.engine, item.engine_version, item.payload) == (
        "picky",
        "2.1",
        {"name": "Ada", "ü": [1, 2.5, None, "😀"]},
    )
    assert (item.namespace, item.priority, item.fair_key, item.pool) == ("acme", -3, "customer 7", "gpu")
    assert (item.state, item.reason, item.version, item.epoch, item.event_seq) == (State.QUEUED, Reason.NEW, 0, 0, 1)
    assert (item.config, item.max_attempts, item.step_timeout, item.max_steps) == ({"model": "small"}, 9, 7.5, 10)
    assert item.limited
    assert item.resources == [{"key": "domain:x", "mode": "exclusive", "units": 1, "scope": "step"}]
    event = last_event(item)
    assert (event.kind, event.actor, event.version) == (EventKind.ENQUEUED, "importer", 0)


def test_the_first_event_tells_why_and_which_press_of_a_button_it_was() -> None:
    asked = enqueue("echo", reason=" the first one was lost ", click="c-1")
    event = last_event(asked)
    assert (event.reason, event.data) == ("the first one was lost", {"click": "c-1"})
    assert (asked.reason, last_event(enqueue("echo")).data) == (Reason.NEW, None)
    later = async_to_sync(aenqueue)("echo", reason="again", click="c-2")
    assert (last_event(later).reason, last_event(later).data) == ("again", {"click": "c-2"})


@pytest.mark.parametrize(("field", "value"), [("reason", "r" * 501), ("reason", "\0"), ("click", "no blanks")])
def test_a_reason_and_a_click_that_cannot_be_kept_are_refused(field: str, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        enqueue("echo", **{field: value})  # type: ignore[arg-type]
    assert refused.value.field == field
    assert not WorkItem.objects.exists()


def test_no_payload_is_stored_as_null() -> None:
    assert enqueue("echo").payload is None


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_stores_nothing_and_wakes_nobody(case: str, django_capture_on_commit_callbacks: Any) -> None:
    options, _field = WRONG[case]
    if "deadline" in options and isinstance(options["deadline"], dt.datetime) and options["deadline"].tzinfo:
        options = {**options, "deadline": clock.now("default") - dt.timedelta(hours=1)}
    with django_capture_on_commit_callbacks() as callbacks, pytest.raises(InvalidInput):
        enqueue("echo", **{"payload": None, **options})
    assert (WorkItem.objects.count(), Event.objects.count(), callbacks) == (0, 0, [])


@pytest.mark.scenario("L15")
def test_an_unknown_engine_stores_nothing() -> None:
    with pytest.raises(InvalidInput, match="There is no engine 'nobody'"):
        enqueue("nobody", {})
    assert not WorkItem.objects.exists()


@pytest.mark.scenario("L30")
def test_a_delay_counts_from_the_databases_clock() -> None:
    before = clock.now("default")
    item = enqueue("echo", delay=90)
    after = clock.now("default")
    assert before <= item.run_at - dt.timedelta(seconds=90) <= after


@pytest.mark.scenario("L30", "B12")
def test_the_callers_clock_has_no_say_in_what_is_past(monkeypatch: pytest.MonkeyPatch) -> None:
    with clock.shifted(dt.timedelta(hours=1)):
        soon = clock.now("default") + dt.timedelta(minutes=5)
        item = enqueue("echo", deadline=soon)
        with pytest.raises(InvalidInput, match="in the past: the database's clock says"):
            enqueue("echo", deadline=soon - dt.timedelta(minutes=10))
    assert item.deadline_at == soon


@pytest.mark.scenario("L30")
def test_a_moment_to_run_at_is_kept_even_when_past() -> None:
    past = clock.now("default") - dt.timedelta(days=1)
    assert enqueue("echo", run_at=past).run_at == past


@pytest.mark.scenario("L32")
def test_a_rolled_back_transaction_leaves_nothing_and_wakes_nobody(transactional_db: None) -> None:
    with told() as heard:
        with transaction.atomic():
            enqueue("echo", {"n": 1})
            enqueue("echo", {"n": 2}, idempotency_key="k")
            transaction.set_rollback(True)
        assert heard == []
    assert (WorkItem.objects.count(), Event.objects.count()) == (0, 0)


@pytest.mark.scenario("L32")
def test_workers_are_woken_when_the_callers_transaction_commits_and_not_before(transactional_db: None) -> None:
    with told() as heard:
        with transaction.atomic():
            item = enqueue("echo")
            assert heard == []
        assert wake.settle()
        assert "" in heard
        assert item.pk in heard


def test_an_item_that_is_not_due_wakes_nobody(transactional_db: None) -> None:
    with told() as heard:
        item = enqueue("echo", delay=60)
    assert heard == [item.pk]


def test_refused_input_leaves_the_callers_transaction_usable(transactional_db: None) -> None:
    taken = uuid.uuid4()
    with transaction.atomic():
        enqueue("echo", item_id=taken)
        for wrong in ({"delay": -1}, {"item_id": taken}, {"parent": uuid.uuid4()}):
            with pytest.raises((InvalidInput, Conflict, NotFound)):
                enqueue("echo", **wrong)
        enqueue("echo")
    assert WorkItem.objects.count() == 2


def test_a_given_id_that_is_taken_is_a_conflict_that_names_it() -> None:
    taken = enqueue("echo", 1)
    with pytest.raises(Conflict, match=f"There is a work item {taken.pk} already"):
        enqueue("echo", 1, item_id=taken.pk)
    assert WorkItem.objects.count() == 1


@pytest.mark.scenario("L27")
def test_a_child_lives_in_its_parents_namespace() -> None:
    parent = WorkItemFactory(namespace="acme")
    child = enqueue("echo", parent=parent.pk, relation="part")
    assert (child.namespace, child.parent_id, child.relation) == ("acme", parent.pk, "part")
    assert enqueue("echo", parent=str(parent.pk), namespace="acme").namespace == "acme"
    with pytest.raises(InvalidInput, match="namespace 'other' is not the parent's"):
        enqueue("echo", parent=parent.pk, namespace="other")


def test_a_parent_that_does_not_exist_is_named() -> None:
    missing = uuid.uuid4()
    with pytest.raises(NotFound, match=str(missing)):
        enqueue("echo", parent=missing)


def test_check_stores_nothing() -> None:
    assert Enqueue("echo", {"a": 1}).check().payload == '{"a":1}'
    assert not WorkItem.objects.exists()


def test_the_async_twin_does_the_same() -> None:
    item = async_to_sync(aenqueue)("echo", {"a": 1}, idempotency_key="k")
    assert enqueue("echo", {"a": 1}, idempotency_key="k").pk == item.pk


def test_a_user_needs_the_permission_and_signs_the_event() -> None:
    user = User.objects.create(username="ada")
    with pytest.raises(Forbidden, match=r"ada may not enqueue work items: the permission roost\.enqueue_workitem"):
        enqueue("echo", by=user)
    assert not WorkItem.objects.exists()
    user.user_permissions.add(Permission.objects.get(codename="enqueue_workitem"))
    item = enqueue("echo", by=User.objects.get(pk=user.pk))
    assert last_event(item).actor == "ada"
