"""Claims beside a transaction that somebody forgot: they do not step over what is done, and overlook nothing."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from runtime import clock
from runtime.choices import State
from runtime.models import Limit
from runtime.store import get_store
from runtime.store.front import Front
from runtime.store.postgres.due import DUE_BEHIND, levels, mine
from runtime.store.postgres.unruled import claim_params, claim_statement
from tests.contracts.builders import Hand, new_item, put
from tests.contracts.plans import Plan, blocks, explain, in_order, read_whole, watch_store

pytestmark = pytest.mark.django_db(transaction=True)

DONE = 3000


@pytest.fixture
def front() -> Front:
    """Return the note of a claimer whose looks are slow."""
    slow = Front()
    slow.looked(float("inf"), 1.0)
    return slow


@contextmanager
def held_transaction() -> Iterator[None]:
    """Keep a transaction open beside the test's connection, so that nothing that is done leaves an index."""
    beside = connection.copy()
    try:
        with beside.cursor() as cursor:
            cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM roost_limit")
            yield
            cursor.execute("ROLLBACK")
    finally:
        beside.close()


def part(plan: Plan, name: str) -> Plan:
    """Return the part of a plan that makes a common table expression."""
    found = [plan] if plan.get("Subplan Name") == name else [part(below, name) for below in plan.get("Plans", [])]
    return next((below for below in found if below), {})


def ids(hand: Hand, front: Front, limit: int = 50) -> list[uuid.UUID]:
    """Claim and return the items' ids."""
    return [one.id for one in hand.claim(limit, front=front)]


def done(hand: Hand, front: Front) -> None:
    """Claim what is due and end it, without looking for more."""
    for _ in range(DONE // 500):
        hand.store.commit([hand.outcome(one, State.DONE) for one in hand.claim(500, front=front)])


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True])
def test_what_is_done_is_not_stepped_over_again(worker: Hand, front: Front, known: bool) -> None:
    with held_transaction():
        get_store().insert([new_item(priority=number % 2) for number in range(DONE)])
        done(worker, front)
        if known:
            # Whoever takes statistics now learns that nothing is queued, and is believed for a while.
            connection.connection.execute("ANALYZE roost_workitem")
        get_store().insert([new_item(priority=number % 2) for number in range(20)])
        request = worker.request(16, front=front)
        params = claim_params("default", request, 16, whatever=True)
        whole = explain(connection, claim_statement(16), params, run=True)
        behind = claim_statement(16, behind=True)
        with in_order(connection):
            found = explain(connection, behind, [*levels(front), *params], run=True)
            look = explain(connection, DUE_BEHIND, [*levels(front), *(mine(request) * 2)], run=True)
        assert blocks(part(whole, "CTE chosen")) > 200
        assert blocks(part(found, "CTE chosen")) < 50
        assert read_whole(found) == set()
        assert blocks(look) < 30


def test_the_order_of_a_claim_stays_priority_then_due_time(worker: Hand, front: Front) -> None:
    first = [put(priority=priority) for priority in (0, 5)]
    assert ids(worker, front, 2) == first[::-1]
    between, above, below, same = put(priority=3), put(priority=9), put(priority=-1), put(priority=5)
    lowest = put(priority=-7)
    assert ids(worker, front) == [above, same, between, below, lowest]
    assert set(front.begins) == {9, 5, 3, 0, -1, -7}


def test_one_at_a_time_every_priority_has_its_turn(worker: Hand, front: Front) -> None:
    expected = [put(priority=priority) for priority in (4, 3, 3, 2, 0, -32768)]
    expected.insert(0, put(priority=32767))
    assert [ids(worker, front, 1)[0] for _ in expected] == expected
    assert ids(worker, front) == []


def test_what_stands_before_a_beginning_is_found_when_nothing_else_is(worker: Hand, front: Front) -> None:
    put()
    assert len(ids(worker, front)) == 1
    early = put(run_at=clock.now("default") - dt.timedelta(minutes=1))
    assert worker.store.due(worker.request(front=front)) is None
    assert ids(worker, front) == [early]


def test_what_stands_before_a_beginning_is_found_by_the_next_whole_look(worker: Hand, front: Front) -> None:
    put()
    ids(worker, front)
    early, late = put(run_at=clock.now("default") - dt.timedelta(minutes=1)), put()
    assert ids(worker, front, 1) == [late]
    put()
    front._whole_at = 0.0
    assert ids(worker, front, 1) == [early]


def overlook(hand: Hand, front: Front, count: int) -> list[uuid.UUID]:
    """Put items before the beginning that the claimer has."""
    put()
    assert len(ids(hand, front)) == 1
    moment = clock.now("default") - dt.timedelta(minutes=1)
    return [put(run_at=moment + dt.timedelta(seconds=number)) for number in range(count)]


def test_a_crowd_that_was_overlooked_is_not_left_to_whole_looks_alone(worker: Hand, front: Front) -> None:
    crowd = overlook(worker, front, 4)
    later = put()
    front._whole_at = 0.0
    assert ids(worker, front, 1) == crowd[:1]
    front._whole_at = float("inf")
    assert ids(worker, front) == [*crowd[1:], later]


def test_what_was_overlooked_is_claimed_beside_items_that_need_resources(worker: Hand, front: Front) -> None:
    crowd = overlook(worker, front, 2)
    needing = [put(resources=[f"lamp {number}"]) for number in range(2)]
    assert sorted(ids(worker, front, 2) + ids(worker, front, 2)) == sorted([*crowd, *needing])


def test_what_was_overlooked_is_claimed_under_a_wide_cap(worker: Hand, front: Front) -> None:
    crowd = overlook(worker, front, 2)
    Limit.objects.create(name="wide", concurrency=100_000)
    assert sorted(ids(worker, front) + ids(worker, front)) == sorted(crowd)


def test_the_pressure_of_due_work_is_seen_behind_the_beginning(worker: Hand, front: Front) -> None:
    put(priority=1)
    ids(worker, front)
    assert worker.store.due(worker.request(front=front)) is None
    put(priority=1)
    assert worker.store.due(worker.request(front=front)) == 1
    put(priority=7)
    assert worker.store.due(worker.request(front=front)) == 7


def test_engines_and_due_times_hold_behind_a_beginning(worker: Hand, front: Front) -> None:
    put()
    ids(worker, front)
    put(engine="other")
    put(delay=60.0)
    mine_ = put()
    assert [one.id for one in worker.claim(50, front=front, engines=("counter",))] == [mine_]


def test_limits_and_resources_set_meanwhile_are_heeded(worker: Hand, other: Hand, front: Front) -> None:
    put()
    ids(worker, front)
    needing = put(resources=["lamp"], priority=1)
    plain = put()
    assert ids(worker, front) == [needing, plain]
    Limit.objects.create(name="none", concurrency=0)
    put()
    assert ids(worker, front) == []


def test_two_claimers_never_get_the_same(worker: Hand, other: Hand, front: Front) -> None:
    beside = Front()
    beside.looked(float("inf"), 1.0)
    everything = [put() for _ in range(40)]
    taken = [one for _ in range(4) for hand, note in ((worker, front), (other, beside)) for one in ids(hand, note, 5)]
    assert sorted(taken) == sorted(everything)


def test_a_claim_without_a_note_looks_at_everything(worker: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    put()
    plans = watch_store(monkeypatch)
    assert len(worker.claim(1)) == 1
    assert claim_statement(1) in plans
