"""Inserting items: all or nothing, with their first event, once for each key."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from django.db import IntegrityError, transaction

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.models import Event, WorkItem
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
