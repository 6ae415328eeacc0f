"""Many items are enqueued together: all of them, or none and an error that names the place."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import transaction

from runtime.exceptions import Conflict, Forbidden, IdempotencyConflict, InvalidInput, NotFound
from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import aenqueue_many, enqueue_many
from tests.factories import WorkItemFactory
from tests.runtime.operations.looking import told
from tests.runtime.operations.test_spec import WRONG

pytestmark = pytest.mark.django_db


def test_items_get_their_ids_in_the_order_given() -> None:
    ids = enqueue_many([{"engine": "echo", "payload": {"n": n}} for n in range(1200)])
    rows = dict(WorkItem.objects.values_list("pk", "payload"))
    assert [rows[pk]["n"] for pk in ids] == list(range(1200))
    assert Event.objects.filter(kind="enqueued", seq=1).count() == 1200


def test_nothing_to_enqueue_is_no_error() -> None:
    assert enqueue_many([]) == []


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("case", ["payload NaN", "delay negative", "resources of numbers", "deadline naive"])
def test_one_wrong_item_stores_none_and_is_named_by_its_place(case: str) -> None:
    options, field = WRONG[case]
    specs = [{"engine": "echo", "payload": 1}, {"engine": "echo", "payload": None, **options}]
    with pytest.raises(InvalidInput, match=r"^items\[1\]: ") as caught:
        enqueue_many(specs)
    assert caught.value.field == f"items[1].{field}"
    assert not WorkItem.objects.exists()


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("echo", r"items\[0\] is a str"),
        ({"payload": 1}, r"items\[0\] has no 'engine'"),
        ({"engine": "echo", "prioritty": 1}, "Did you mean 'priority'"),
        ({"engine": "echo", 5: 1}, "unknown option 5"),
        ({"engine": "nobody"}, r"items\[0\]: There is no engine 'nobody'"),
        ({"engine": ["echo"]}, r"items\[0\]: engine is a list"),
        ({"engine": "echo", "parent": "x"}, r"items\[0\]: parent 'x'"),
        ({"engine": "picky", "payload": {}}, r"items\[0\]: payload has no 'name'"),
    ],
)
def test_a_spec_of_the_wrong_shape_is_refused(spec: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        enqueue_many([spec])
    assert caught.value.field.startswith("items[0]")


def test_more_than_the_limit_at_once_is_refused(settings: Any) -> None:
    settings.ROOST_MAX_BULK = 3
    assert len(enqueue_many([{"engine": "echo"}] * 3)) == 3
    with pytest.raises(InvalidInput, match="ROOST_MAX_BULK allows at once"):
        enqueue_many([{"engine": "echo"}] * 4)


@pytest.mark.scenario("L31")
def test_known_keys_stand_for_the_items_that_have_them() -> None:
    old = enqueue("echo", {"n": 1}, idempotency_key="one")
    ids = enqueue_many(
        [
            {"engine": "echo", "payload": {"n": 2}, "idempotency_key": "two"},
            {"engine": "echo", "payload": {"n": 1}, "idempotency_key": "one"},
            {"engine": "echo", "payload": {"n": 2}, "idempotency_key": "two"},
            {"engine": "echo", "payload": {"n": 1}, "idempotency_key": "one", "namespace": "other"},
        ]
    )
    assert ids[1] == old.pk
    assert ids[0] == ids[2]
    assert len(set(ids)) == 3
    assert WorkItem.objects.count() == 3


@pytest.mark.scenario("L31")
def test_a_conflict_over_one_key_stores_none(transactional_db: None) -> None:
    enqueue("echo", {"n": 1}, idempotency_key="one")
    with told() as heard, pytest.raises(IdempotencyConflict):
        enqueue_many(
            [
                {"engine": "echo", "payload": {"n": 3}, "idempotency_key": "three"},
                {"engine": "echo", "payload": {"n": 4}},
                {"engine": "echo", "payload": {"n": 2}, "idempotency_key": "one"},
            ]
        )
    assert heard == []
    assert WorkItem.objects.count() == 1


@pytest.mark.scenario("L31")
def test_one_key_for_two_payloads_of_the_same_call_is_a_conflict() -> None:
    with pytest.raises(IdempotencyConflict):
        enqueue_many([{"engine": "echo", "payload": n, "idempotency_key": "k"} for n in (1, 2)])
    assert not WorkItem.objects.exists()


def test_an_id_that_is_taken_stores_none_and_spares_the_callers_transaction(transactional_db: None) -> None:
    taken = enqueue("echo")
    with transaction.atomic():
        with pytest.raises(Conflict, match=str(taken.pk)):
            enqueue_many([{"engine": "echo"}, {"engine": "echo", "item_id": taken.pk}])
        enqueue_many([{"engine": "echo"}])
    assert WorkItem.objects.count() == 2


@pytest.mark.scenario("L32")
def test_a_rolled_back_transaction_leaves_none(transactional_db: None) -> None:
    with told() as heard, transaction.atomic():
        enqueue_many([{"engine": "echo"}] * 10)
        transaction.set_rollback(True)
    assert heard == []
    assert not WorkItem.objects.exists()


@pytest.mark.scenario("L27")
def test_children_live_in_their_parents_namespaces() -> None:
    parents = [WorkItemFactory(namespace=name) for name in ("acme", "umbrella")]
    ids = enqueue_many([{"engine": "echo", "parent": str(parent.pk)} for parent in parents])
    assert [WorkItem.objects.get(pk=pk).namespace for pk in ids] == ["acme", "umbrella"]
    with pytest.raises(NotFound, match=r"^items\[0\]: There is no work item"):
        enqueue_many([{"engine": "echo", "parent": uuid.uuid4()}])


def test_the_number_of_queries_does_not_grow_with_the_items(django_assert_max_num_queries: Any) -> None:
    parent = WorkItemFactory()
    with django_assert_max_num_queries(12):
        enqueue_many(
            {"engine": "echo", "payload": n, "parent": parent.pk, "idempotency_key": f"k{n}"} for n in range(300)
        )


def test_a_user_needs_the_permission() -> None:
    with pytest.raises(Forbidden, match=r"roost\.enqueue_workitem"):
        enqueue_many([{"engine": "echo"}], by=User.objects.create(username="eve"))


def test_the_async_twin_does_the_same() -> None:
    assert len(async_to_sync(aenqueue_many)([{"engine": "echo"}] * 2)) == 2
