"""One key, one item: whoever asks, however often, at whatever instant."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction

from runtime.exceptions import Conflict, IdempotencyConflict
from runtime.jsondata import same_json
from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.store import get_store
from tests.runtime.operations.looking import Caller, told, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

BUSY_TIMEOUT = "PRAGMA busy_timeout"
PAYLOAD = {"a": [1, 2.5, 1e23, True, None], "b": {"é": "😀"}}


@contextmanager
def impatient() -> Iterator[None]:
    """Let this session's writes on SQLite wait for 10 ms only, instead of the seconds set for the product."""
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        before = cursor.execute(BUSY_TIMEOUT).fetchone()[0]
        cursor.execute(f"{BUSY_TIMEOUT} = 10")
        try:
            yield
        finally:
            cursor.execute(f"{BUSY_TIMEOUT} = {before}")


@pytest.mark.scenario("L31")
def test_the_same_key_and_payload_give_the_first_item_and_wake_nobody() -> None:
    first = enqueue("echo", PAYLOAD, idempotency_key="k")
    with told() as heard:
        second = enqueue("echo", PAYLOAD, idempotency_key="k", priority=5)
    assert (second.pk, second.priority) == (first.pk, 0)
    assert heard == []
    assert (WorkItem.objects.count(), Event.objects.count()) == (1, 1)


@pytest.mark.scenario("L31")
@pytest.mark.parametrize(
    ("engine", "payload", "other"),
    [("echo", {"a": 2}, "another payload"), ("echo", {"a": True}, "another payload"), ("picky", {"name": 1}, "engine")],
)
def test_the_same_key_for_other_work_is_a_conflict_that_names_the_item(engine: str, payload: Any, other: str) -> None:
    first = enqueue("echo", {"a": 1}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match=f"taken by work item {first.pk} with .*{other}") as caught:
        enqueue(engine, payload, idempotency_key="k")
    assert caught.value.state == "queued"
    assert WorkItem.objects.count() == 1


@pytest.mark.scenario("L31", "L27")
def test_keys_of_two_namespaces_have_nothing_to_do_with_each_other() -> None:
    mine = enqueue("echo", 1, idempotency_key="k", namespace="mine")
    yours = enqueue("echo", 2, idempotency_key="k", namespace="yours")
    assert mine.pk != yours.pk


@pytest.mark.scenario("L31")
def test_fifty_racing_callers_get_one_item() -> None:
    start = threading.Barrier(50)

    def call() -> Any:
        start.wait()
        return enqueue("echo", PAYLOAD, idempotency_key="k").pk

    callers = [Caller(call) for _ in range(50)]
    assert len({caller.result() for caller in callers}) == 1
    assert (WorkItem.objects.count(), Event.objects.count()) == (1, 1)


@pytest.mark.scenario("L31")
def test_of_racing_callers_with_different_payloads_one_wins_and_the_rest_are_told() -> None:
    start = threading.Barrier(10)

    def call(number: int) -> Any:
        start.wait()
        try:
            return enqueue("echo", number, idempotency_key="k").pk
        except IdempotencyConflict:
            return None

    callers = [Caller(lambda number=number: call(number)) for number in range(10)]
    answers = [caller.result() for caller in callers]
    assert len([answer for answer in answers if answer]) == 1
    assert WorkItem.objects.count() == 1


@pytest.mark.scenario("L31", "L32")
@pytest.mark.parametrize("rolled_back", [False, True])
def test_a_key_in_an_open_transaction_is_waited_for(rolled_back: bool) -> None:
    held, end = threading.Event(), threading.Event()

    def first() -> Any:
        with transaction.atomic():
            item = enqueue("echo", 1, idempotency_key="k")
            held.set()
            assert end.wait(20)
            transaction.set_rollback(rolled_back)
        return item.pk

    one = Caller(first)
    assert held.wait(20)
    two = Caller(lambda: enqueue("echo", 1, idempotency_key="k").pk)
    wait_until_blocked()
    end.set()
    assert (one.result() == two.result()) is not rolled_back
    assert list(WorkItem.objects.values_list("pk", flat=True)) == [two.result()]


@pytest.mark.scenario("L31", "B9")
def test_nobody_waits_for_a_key_for_ever(settings: Any) -> None:
    settings.ROOST_LOCK_TIMEOUT_MS = 100
    held, end = threading.Event(), threading.Event()

    def first() -> None:
        with transaction.atomic():
            enqueue("echo", 1, idempotency_key="k")
            held.set()
            assert end.wait(20)

    one = Caller(first)
    assert held.wait(20)
    try:
        with impatient(), pytest.raises((Conflict, OperationalError), match=r"Try again|database is locked"):
            enqueue("echo", 1, idempotency_key="k")
    finally:
        end.set()
        one.result()
    assert WorkItem.objects.count() == 1


@pytest.mark.scenario("L31")
def test_a_key_is_free_again_when_its_item_is_gone() -> None:
    first = enqueue("echo", 1, idempotency_key="k")
    WorkItem.objects.filter(pk=first.pk).delete()
    assert enqueue("echo", 2, idempotency_key="k").pk != first.pk


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (10**23, 1e23, True),
        (10**400, 1e23, False),
        (10**400, 10**400 + 1, False),
        ([1, 2], [1, 2], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": [{"b": 1}]}, {"a": [{"b": True}]}, False),
        (None, None, True),
        (None, 0, False),
        ("1", 1, False),
        ([], {}, False),
    ],
)
def test_payloads_are_the_same_when_json_says_so(left: Any, right: Any, same: bool) -> None:
    assert same_json(left, right) is same
    assert same_json(right, left) is same


def test_an_item_without_a_key_that_was_not_stored_is_not_taken_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue("echo", {"n": 1})
    monkeypatch.setattr(type(get_store()), "insert_one", lambda store, item: None)
    with pytest.raises(WorkItem.DoesNotExist, match="no key to be taken"):
        enqueue("echo", {"n": 1})


def test_a_key_whose_holder_goes_away_in_between_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    insert = type(get_store()).insert_one
    tries: list[Any] = []

    def late(store: Any, item: Any) -> Any:
        tries.append(item.id)
        return None if len(tries) == 1 else insert(store, item)

    monkeypatch.setattr(type(get_store()), "insert_one", late)
    made = enqueue("echo", {"n": 1}, idempotency_key="k")
    assert tries == [made.pk, made.pk]
