"""Interleavings of claims on PostgreSQL, forced: one session is held at a lock, the other driven past it.

`pg_stat_activity` is the witness that a session really waits before the other goes on.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import Any

import pytest
from django.db import transaction

from runtime.choices import State
from runtime.models import Lease, Limit, Resource, WorkItem
from runtime.store import get_store
from tests.contracts.builders import (
    Hand,
    Together,
    claims,
    item,
    new_item,
    put,
    undone,
    until,
    waiting_for_locks,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.scenario("L44")
def test_an_item_lost_between_marking_and_reading_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    claiming = import_module("runtime.store.postgres.claim")
    pk, slow, quick = put(), Hand(), Hand()
    read = claiming._read

    def rob() -> None:
        slow.die()
        again = quick.take()
        assert quick.commit(again, data='{"count": "quick"}') == State.RUNNING

    def late_read(using: str, taken: Any) -> Any:
        monkeypatch.setattr(claiming, "_read", read)
        Together([rob]).results()
        return read(using, taken)

    monkeypatch.setattr(claiming, "_read", late_read)
    assert slow.claim() == []
    assert (item(pk).version, item(pk).epoch) == (1, 3)


@pytest.mark.scenario("L17", "L44")
def test_a_claim_passes_over_a_row_that_another_has_locked() -> None:
    locked, free = put(priority=5), put()
    hand = Hand()
    with transaction.atomic():
        WorkItem.objects.select_for_update().get(pk=locked)
        taken = Together([hand.claim]).results()[0]
    assert [one.id for one in taken] == [free]
    assert hand.take().id == locked


@pytest.mark.scenario("L29", "B8")
def test_who_asks_for_a_resource_while_it_is_freed_is_not_stranded() -> None:
    hand, other = Hand(), Hand()
    put(resources=["r"], priority=9)
    late = put(resources=["r"])
    holder = hand.take(limit=1)
    with transaction.atomic():
        hand.commit(holder, State.DONE)
        asking = Together([other.claim])
        until(lambda: waiting_for_locks() > 0 or not asking.running(), "an end of the claim, or its wait")
    taken = [*asking.results()[0], *other.claim()]
    assert [one.id for one in taken] == [late]
    assert claims(late) == [("r", True)]


@pytest.mark.scenario("L29", "L45")
def test_a_claim_beside_an_unfinished_claim_of_the_same_resource_gets_nothing() -> None:
    hand, other = Hand(), Hand()
    Resource.objects.create(key="r")
    put(resources=["r"])
    put(resources=["r"])
    with transaction.atomic():
        assert len(hand.claim(limit=1)) == 1
        beside = Together([other.claim])
        until(lambda: waiting_for_locks() > 0 or not beside.running(), "an end of the claim, or its wait")
    assert beside.results()[0] == []


@pytest.mark.scenario("L32")
def test_an_enqueue_that_is_rolled_back_is_never_seen_by_a_claimer() -> None:
    hand = Hand()
    undone(lambda: (put(), Together([lambda: _gets_nothing(hand)]).results()))
    assert hand.claim() == []


def _gets_nothing(hand: Hand) -> None:
    assert hand.claim() == []


@pytest.mark.scenario("L45")
def test_a_claimer_leaves_a_limit_that_another_has_and_counts_what_that_one_started() -> None:
    Limit.objects.create(name="one", engine="counter", concurrency=1)
    first, second, free = put(), put(), put(engine="hop")
    one, other = Hand(), Hand()
    with transaction.atomic():
        [mine] = one.claim(engines=("counter",))
        # Its lease is not to be seen yet, and nobody waits for it.
        assert [claimed.id for claimed in Together([other.claim]).results()[0]] == [free]
    assert mine.id == first
    assert other.claim() == []
    assert one.commit(mine, State.DONE) == State.DONE
    assert [claimed.id for claimed in other.claim()] == [second]


@pytest.mark.scenario("L45")
def test_a_claimer_that_locks_a_limit_late_counts_what_was_committed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    Limit.objects.create(name="one", concurrency=1)
    put(), put()
    one, other = Hand(), Hand()
    lanes = import_module("runtime.store.postgres.lanes")
    look = lanes.look

    def looked(*args: Any) -> Any:
        found = look(*args)
        monkeypatch.undo()
        # Between the late claimer's look and its lock, the other claims and commits.
        assert len(Together([one.claim]).results()[0]) == 1
        return found

    monkeypatch.setattr(lanes, "look", looked)
    assert other.claim() == []
    assert Lease.objects.count() == 1


@pytest.mark.scenario("L45")
def test_claimers_at_once_never_go_over_a_cap() -> None:
    Limit.objects.create(name="two", concurrency=2)
    get_store().insert([new_item(fair_key=f"key {n % 3}") for n in range(30)])
    hands = [Hand() for _ in range(4)]
    done = 0
    deadline = time.monotonic() + 60
    while done < 30:
        assert time.monotonic() < deadline
        got = Together([hand.claim for hand in hands]).results()
        assert Lease.objects.count() <= 2
        for hand, claimed in zip(hands, got, strict=True):
            for one in claimed:
                assert hand.commit(one, State.DONE) == State.DONE
                done += 1
