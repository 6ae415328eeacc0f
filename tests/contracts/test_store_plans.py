"""Plans on PostgreSQL: with a hundred thousand items, no statement of the hot paths reads a table from end to end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime import clock
from runtime.choices import State
from runtime.models import Limit
from runtime.models.workitem import new_id
from runtime.queries import held
from runtime.store.postgres import roomy, session
from runtime.store.postgres.due import DUE, mine
from runtime.store.turns import Turns
from tests.contracts.builders import Hand, put

# Truncated after each test, so that no test reads through the dead rows of the one before.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ITEMS = 100_000
RUNNING = 5_000
LARGE = frozenset({"roost_workitem", "roost_snapshot", "roost_event", "roost_resourceclaim"})

BULK = """
INSERT INTO roost_workitem (
    id, namespace, engine, engine_version, pool, payload, priority, fair_key, resources, limited, run_at, max_attempts,
    relation, state, reason, paused_from, pause_requested, step_label, attempt, deaths, fingerprint, acknowledged_by,
    row_version, event_seq, version, epoch, steps_total, duration_total, away_total, tokens_total, cost_total,
    created_at, updated_at
)
SELECT gen_random_uuid(), 'default', 'counter', '1', 'default', '{"n": 1}', n %% 3, '', '[]', false,
    now() + CASE WHEN n %% %s = 0 THEN interval '1 day' ELSE interval '-1 minute' END, 5,
    '', CASE WHEN n <= %s THEN 'running' WHEN n %% 5 = 0 THEN 'done' ELSE 'queued' END, 'continue', '', false, '', 0,
    0, '', '', 1, 1, 1, 1, 1, 0, 0, 0, 0, now(), now()
FROM generate_series(1, %s) AS n
"""
AROUND = """
INSERT INTO roost_snapshot (work_item_id, version, epoch, data, label, created_at)
    SELECT id, 1, 1, '{}', '', now() FROM roost_workitem;
INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, actor, reason, created_at)
    SELECT id, 1, 'enqueued', 0, 0, 0, '', '', now() FROM roost_workitem;
INSERT INTO roost_lease (work_item_id, worker_id, epoch, acquired_at, expires_at, alone, row_version)
    SELECT id, gen_random_uuid(), 1, now(), now() + interval '1 hour', false, 1
    FROM roost_workitem WHERE state = 'running';
INSERT INTO roost_resource (namespace, key, capacity, row_version) SELECT 'default', 'r' || n, 1, 1
    FROM generate_series(1, 1000) AS n;
INSERT INTO roost_resourceclaim (resource_id, work_item_id, mode, units, scope, held, epoch, created_at, row_version)
    SELECT r.id, w.id, 'exclusive', 1, 'item', true, 1, now(), 1
    FROM (SELECT id, row_number() OVER () AS n FROM roost_workitem WHERE state = 'running' LIMIT 1000) w
    JOIN (SELECT id, row_number() OVER () AS n FROM roost_resource) r USING (n);
ANALYZE roost_workitem, roost_snapshot, roost_event, roost_lease, roost_resource, roost_resourceclaim
"""


def fill(*, later: int) -> None:
    """Fill the tables; one item in `later` is due in a day, the others are due now."""
    with connection.cursor() as cursor:
        cursor.execute(BULK, [later, RUNNING, ITEMS])
        cursor.execute(AROUND)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Collect the plan of each statement that the store sends."""
    found: dict[str, Any] = {}
    send, send_each = session._send, session.rows_of_each

    def explain(wrapper: BaseDatabaseWrapper, text: str, params: Sequence[Any]) -> None:
        if text.lstrip().startswith(("WITH", "SELECT", "DELETE", "UPDATE", "INSERT", "(")):
            with psycopg.Cursor(wrapper.connection) as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {text}", params)
                found[text] = cursor.fetchall()[0][0][0]["Plan"]

    def explained(wrapper: BaseDatabaseWrapper, text: str, params: Sequence[Any]) -> session.Rows:
        explain(wrapper, text, params)
        return send(wrapper, text, params)

    def each_explained(using: str, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[session.Rows]:
        for text, params in statements:
            explain(connections[using], text, params)
        return send_each(using, statements)

    monkeypatch.setattr(session, "_send", explained)
    monkeypatch.setattr(roomy, "rows_of_each", each_explained)
    return found


def read_whole(plan: dict[str, Any]) -> set[str]:
    """Return the large tables that a plan reads from end to end."""
    below = [table for part in plan.get("Plans", []) for table in read_whole(part)]
    whole = plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE
    return {*below, *([plan["Relation Name"]] if whole else [])}


def sorted_rows(plan: dict[str, Any]) -> int:
    """Return how many rows the largest sort of a plan is expected to take."""
    own = plan["Plan Rows"] if plan["Node Type"] == "Sort" else 0
    return max([own, *(sorted_rows(part) for part in plan.get("Plans", []))])


def test_no_hot_statement_reads_or_sorts_a_large_table(plans: dict[str, Any]) -> None:
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
    assert {text: tables for text, plan in plans.items() if (tables := read_whole(plan))} == {}
    assert {text: size for text, plan in plans.items() if (size := sorted_rows(plan)) > ITEMS / 50} == {}


def test_work_that_is_due_later_costs_a_look_nothing() -> None:
    fill(later=1)
    hand = Hand()
    request = hand.request()
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {DUE}", [False, *(mine(request) * 3)])
        plan = cursor.fetchall()[0][0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 100
    assert hand.claim() == []


def test_a_fair_and_limited_claim_reads_the_heads_of_lanes_not_their_backlogs(plans: dict[str, Any]) -> None:
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
    assert {text: tables for text, plan in plans.items() if (tables := read_whole(plan))} == {}
    assert {text: size for text, plan in plans.items() if (size := sorted_rows(plan)) > ITEMS / 50} == {}


def test_a_claim_under_a_wide_cap_costs_two_looks_more_than_one_without(
    plans: dict[str, Any], monkeypatch: pytest.MonkeyPatch
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
    assert {text: tables for text, plan in plans.items() if (tables := read_whole(plan))} == {}
    assert {text: size for text, plan in plans.items() if (size := sorted_rows(plan)) > ITEMS / 50} == {}


def test_looking_for_held_items_reads_no_others() -> None:
    fill(later=2)
    now = clock.now("default")
    for after in (None, new_id()):
        plan = held.waiting(["counter"], now, after, using="default")[:500].explain()
        assert "roost_item_held" in plan
        assert "Seq Scan" not in plan
