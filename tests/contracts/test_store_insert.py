"""Inserting items: all or nothing, with their first event, once for each key."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.models import Event, Offloaded, WorkItem
from runtime.store import offloading
from runtime.store.base import Store
from tests.contracts.builders import Hand, item, kinds, last_event, new_item, put, undone

pytestmark = pytest.mark.django_db


def test_a_new_item_is_queued_with_its_first_event(store: Store) -> None:
    pk = put(payload={"count_to": 7}, actor="ann", priority=3, namespace="shop", fair_key="tenant")
    found = item(pk)
    assert (found.state, found.reason) == (State.QUEUED, Reason.NEW)
    assert (found.version, found.epoch, found.row_version, found.event_seq) == (0, 0, 1, 1)
    assert (found.payload, found.priority, found.namespace) == ({"count_to": 7}, 3, "shop")
    assert found.resources == []
    assert kinds(pk) == [EventKind.ENQUEUED]
    assert last_event(pk).actor == "ann"


def test_texts_of_every_kind_come_back_as_they_were_given(store: Store, worker: Hand) -> None:
    text = '{"a":[1,2.50,-3e-7,12345678901234567890],"t":"ünï \\"q\\" \\\\ {x} %s NULL 😀","n":null,"b":true}'
    pk = new_item()
    store.insert([new_item(id=pk.id, payload=json.loads(text), config=text)])
    claimed = worker.take()
    assert claimed.payload is not None
    assert claimed.config is not None
    assert json.loads(claimed.payload) == json.loads(text)
    assert json.loads(claimed.config) == json.loads(text)
    assert item(pk.id).payload == json.loads(text)
    assert item(pk.id).config == json.loads(text)


@pytest.mark.scenario("L30")
def test_a_delay_counts_from_the_databases_now(store: Store) -> None:
    before = clock.now(store.using)
    pk = put(delay=3600.0)
    later = clock.now(store.using)
    hour = dt.timedelta(hours=1)
    assert before + hour <= item(pk).run_at <= later + hour


@pytest.mark.scenario("L30")
def test_a_given_due_time_is_kept_to_the_microsecond(store: Store) -> None:
    moment = dt.datetime(2031, 2, 3, 4, 5, 6, 789, tzinfo=dt.UTC)
    assert item(put(run_at=moment)).run_at == moment
    assert item(put(run_at=moment.replace(microsecond=0))).run_at == moment.replace(microsecond=0)


@pytest.mark.scenario("L31")
def test_a_taken_key_leaves_the_item_out_and_inserts_its_neighbours(store: Store) -> None:
    first = put(idempotency_key="k")
    again, plain, elsewhere = (
        new_item(idempotency_key="k"),
        new_item(),
        new_item(idempotency_key="k", namespace="other"),
    )
    assert store.insert([again, plain, elsewhere]) == {plain.id, elsewhere.id}
    assert not WorkItem.objects.filter(pk=again.id).exists()
    assert not Event.objects.filter(work_item=again.id).exists()
    assert kinds(first) == [EventKind.ENQUEUED]


@pytest.mark.scenario("L31")
def test_the_same_key_twice_in_one_call_makes_one_item(store: Store) -> None:
    twins = [new_item(idempotency_key="k"), new_item(idempotency_key="k")]
    assert len(store.insert(twins)) == 1
    assert WorkItem.objects.filter(idempotency_key="k").count() == 1


def test_nothing_is_inserted_when_one_item_cannot_be(store: Store) -> None:
    good, bad = new_item(), new_item(max_attempts=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        store.insert([good, bad])
    assert not WorkItem.objects.filter(pk=good.id).exists()
    assert not Event.objects.filter(work_item=good.id).exists()


def test_inserting_nothing_is_fine(store: Store) -> None:
    assert store.insert([]) == set()


def test_a_large_insert_is_whole(store: Store) -> None:
    items = [new_item() for _ in range(1203)]
    assert store.insert(items) == {one.id for one in items}
    assert Event.objects.count() == 1203


@pytest.mark.scenario("L32")
def test_an_insert_in_a_transaction_that_rolls_back_leaves_nothing(store: Store) -> None:
    one = new_item()
    undone(lambda: store.insert([one]))
    assert not WorkItem.objects.filter(pk=one.id).exists()


def test_a_child_names_its_parent(store: Store) -> None:
    parent = put()
    child = put(parent_id=parent, relation="child")
    assert (item(child).parent_id, item(child).relation) == (parent, "child")


def test_one_item_is_inserted_and_told_as_it_is_stored(store: Store) -> None:
    one = new_item(
        payload={"b": 1.0, "a": [1, {"t": "%s {x} 😀"}]},
        resources='[{"key": "gpu", "mode": "shared", "units": 1, "scope": "item"}]',
        limited=True,
        config='{"depth": 2}',
        delay=60.0,
        actor="ann",
        idempotency_key="once",
    )
    told = store.insert_one(one)
    assert told is not None
    known = item(one.id)
    assert {field.attname: getattr(told, field.attname) for field in told._meta.concrete_fields} == {
        field.attname: getattr(known, field.attname) for field in known._meta.concrete_fields
    }
    assert not told.get_deferred_fields()
    assert (told._state.db, told._state.adding) == (store.using, False)
    assert kinds(one.id) == [EventKind.ENQUEUED]
    assert last_event(one.id).actor == "ann"


def test_one_item_whose_key_is_taken_is_not_told(store: Store) -> None:
    holder = put(idempotency_key="once")
    again = new_item(idempotency_key="once")
    assert store.insert_one(again) is None
    assert list(WorkItem.objects.values_list("pk", flat=True)) == [holder]
    with pytest.raises(IntegrityError), transaction.atomic():
        store.insert_one(new_item(id=holder))


def test_one_item_whose_payload_was_moved_is_remembered_with_it(store: Store, settings: Any) -> None:
    settings.ROOST_OFFLOAD_BYTES = 1_000
    moved = offloading.move_payloads(store.using, [new_item(payload={"text": "x" * 100_000})])
    told = store.insert_one(moved[0])
    assert told is not None
    assert told.pk == moved[0].id
    assert Offloaded.objects.filter(work_item=told.pk).exists()
