"""Plans on PostgreSQL: with a hundred thousand items, no statement of the hot paths reads a table from end to end."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection

from runtime import clock
from runtime.choices import State
from runtime.journal.entries import Answer
from runtime.models import Limit
from runtime.models.workitem import new_id
from runtime.queries import held
from runtime.store import get_store
from runtime.store.postgres import roomy
from runtime.store.postgres.due import DUE, mine
from runtime.store.turns import Turns
from tests.contracts.builders import Hand, new_item, put, undone
from tests.contracts.plans import ITEMS, RUNNING, Plans, blocks, explain, fill, read_whole, sorted_rows, watch_store
from tests.contracts.test_store_journal import begin, end

# In transactions of their own, since ANALYZE and VACUUM are needed; the tables are truncated after each test.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

CALLS = """
INSERT INTO roost_journalentry (
    work_item_id, base_version, key, name, input_hash, idempotency_key, state, attempts, epoch, call_id, started_at
) SELECT id, 0, 'earlier', 'n', 'h', 'i', 'succeeded', 1, 1, gen_random_uuid(), now() FROM roost_workitem;
ANALYZE roost_journalentry
"""


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Plans:
    """Collect the plan of each statement that the store sends."""
    return watch_store(monkeypatch)


def check(plans: Plans) -> None:
    """Make sure that no plan reads a large table from end to end, or sorts much of one."""
    assert {text: tables for text, plan in plans.items() if (tables := read_whole(plan))} == {}
    assert {text: size for text, plan in plans.items() if (size := sorted_rows(plan)) > ITEMS / 50} == {}


def test_no_hot_statement_reads_or_sorts_a_large_table(plans: Plans) -> None:
    fill(later=2)
    hand, dead = Hand(), Hand()
    put(resources=["r1"], priority=9)
    put(deadline_at=clock.now("default") - dt.timedelta(seconds=1))
    claimed = hand.claim(limit=20, engines=("counter",), pools=("default",))
    assert len(claimed) == 20
    assert hand.store.due(hand.request(engines=("counter",))) == 2
    assert hand.store.next_due_in(hand.request()) == 0
    assert hand.claim(alone=True) == []
    assert not hand.renew(*claimed).lost
    outcomes = [hand.outcome(one, State.RUNNING if n % 2 else State.DONE) for n, one in enumerate(claimed)]
    assert len(hand.store.commit(outcomes)) == 20
    assert hand.release(*claimed[1::2]) == 10
    assert len(dead.claim(limit=20)) == 20
    assert dead.die().recovered == 20
    assert hand.store.read_back([claimed[0].id])[claimed[0].id].version == claimed[0].version + 1
    assert len(plans) >= 12
    check(plans)


def test_no_recorded_call_reads_or_sorts_a_large_table(plans: Plans) -> None:
    fill(later=2)
    with connection.cursor() as cursor:
        cursor.execute(CALLS)
    hand = Hand()
    items = hand.claim(limit=20)
    plans.clear()
    begun = [begin(item) for item in items]
    hand.store.journal(begun)
    assert {found.answer for found in hand.store.journal([begin(item) for item in items])} == {Answer.RECORDED}
    assert {found.answer for found in hand.store.journal([end(one, result="1") for one in begun])} == {Answer.WRITTEN}
    for one in begun:
        hand.store.journal([end(one, result="1")])
    assert len(plans) == 2
    check(plans)


def test_work_that_is_due_later_costs_a_look_nothing() -> None:
    # What a rolled-back test left in the indexes must not be taken for the cost of a look: it is due, and dead.
    undone(lambda: get_store().insert([new_item(priority=n % 3) for n in range(2000)]))
    fill(later=1)
    hand = Hand()
    request = hand.request()
    plan = explain(connection, DUE, [False, *(mine(request) * 3)], run=True)
    assert blocks(plan) < 50
    assert hand.claim() == []


def test_a_fair_and_limited_claim_reads_the_heads_of_lanes_not_their_backlogs(plans: Plans) -> None:
    fill(later=2)
    with connection.cursor() as cursor:
        # Forty-nine keys with ten items each, one with all the others.
        cursor.execute(
            "UPDATE roost_workitem w SET fair_key = 'key ' || least(n / 10, 49)"
            " FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM roost_workitem WHERE state = 'queued') q"
            " WHERE w.id = q.id"
        )
        cursor.execute("VACUUM ANALYZE roost_workitem")
    Limit.objects.create(name="most", concurrency=RUNNING + 30)
    Limit.objects.create(name="none", fair_key="key 49", concurrency=0)
    Limit.objects.create(name="rate", engine="counter", rate=1000)
    hand = Hand()
    put(resources=["free"], priority=2, fair_key="key 1")
    claimed = hand.claim(limit=50, engines=("counter",), pools=("default",))
    assert len(claimed) == 30
    assert "key 49" not in {one.fair_key for one in claimed}
    assert len(plans) >= 8
    check(plans)


def test_a_claim_under_a_wide_cap_costs_two_looks_more_than_one_without(
    plans: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(later=2)
    Limit.objects.create(name="wide", concurrency=ITEMS)
    hand = Hand()
    monkeypatch.setattr(hand.store, "turns", Turns())
    hand.claim(limit=1)
    plans.clear()
    assert len(hand.claim(limit=50)) == 50
    assert {roomy.LOCK_SHARED, roomy.RUNNING} < plans.keys()
    assert len(plans) == 6
    check(plans)


def test_looking_for_held_items_reads_no_others() -> None:
    fill(later=2)
    now = clock.now("default")
    for after in (None, new_id()):
        plan = held.waiting(["counter"], now, after, using="default")[:500].explain()
        assert "roost_item_held" in plan
        assert "Seq Scan" not in plan
