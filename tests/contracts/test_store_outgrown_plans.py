"""Plans on PostgreSQL that a session has made while the tables were empty, and five thousand items that come then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.models import WorkItem
from runtime.store import get_store
from runtime.store.postgres import session
from runtime.store.turns import Turns
from tests.contracts.builders import Hand, Together, new_item, put
from tests.contracts.plans import Plans, cached_plan, looked_at, read_whole

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

ITEMS, KEYS = 5_000, 50
GENERIC = 7
"""So many times a statement is sent until PostgreSQL plans it once for all parameters."""

TABLES = sorted(model._meta.db_table for model in apps.get_app_config(WorkItem._meta.app_label).get_models())
# All of them: what tests before this one left in any is known to the planner long after the rows are gone.
EMPTY = ("TRUNCATE roost_workitem CASCADE", f"VACUUM ANALYZE {', '.join(TABLES)}")
"""Truncated: room that deleted rows leave in the table, where VACUUM cannot take it back, hides that it has grown."""
FORGET = "DELETE FROM pg_statistic USING pg_class WHERE starelid = pg_class.oid AND relname LIKE 'roost%'"
"""What tests before this one had in the tables: ANALYZE leaves that alone where there is nothing now."""
MAY_FORGET = "SELECT usesuper FROM pg_user WHERE usename = current_user"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Plans:
    """Collect the plan that the session keeps of each statement that the store sends."""
    found: Plans = {}

    def watch(name: str) -> None:
        send = getattr(session, name)

        def looked_up(wrapper: BaseDatabaseWrapper, text: str, params: Any) -> session.Rows:
            rows: session.Rows = send(wrapper, text, params)
            found[text] = cached_plan(wrapper, text, params)
            return rows

        monkeypatch.setattr(session, name, looked_up)

    watch("_send")
    watch("_send_in_order")
    return found


def everything(hand: Hand) -> None:
    """Do once what a worker does."""
    claimed = hand.claim(1)
    hand.store.due(hand.request())
    hand.store.next_due_in(hand.request())
    if claimed:
        hand.store.commit([hand.outcome(claimed[0], "queued", reason="continue")])
    hand.claim(1)
    hand.die()


def at_rest(hand: Hand, **values: Any) -> None:
    """Have the session plan everything for tables that are empty, and known to be."""
    for _ in range(GENERIC):
        put(**values)
        everything(hand)
    with connection.cursor() as cursor:
        cursor.execute(MAY_FORGET)
        if cursor.fetchone()[0]:
            cursor.execute(FORGET)
        for statement in EMPTY:
            cursor.execute(statement)
    for _ in range(GENERIC):
        everything(hand)


def enqueue_many(make: Callable[[int], dict[str, Any]]) -> None:
    """Insert the items from another session."""
    items = [new_item(idempotency_key=f"item {number}", **make(number)) for number in range(ITEMS)]
    Together([lambda: get_store().insert(items)]).results()


CASES: dict[str, Callable[[int], dict[str, Any]]] = {
    "plain": lambda number: {"priority": number % 3},
    "fair": lambda number: {"priority": number % 3, "fair_key": f"key {number % KEYS}"},
    "resources": lambda number: {"priority": number % 3, "resources": [f"r{number % KEYS}"]},
}


@pytest.mark.parametrize("case", CASES)
def test_who_comes_back_to_work_does_not_read_all_items_for_each_descent(
    case: str, kept: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PLANS_LAST", 10**9)
    monkeypatch.setattr(session, "SIZED_SECONDS", 0.0)
    hand = Hand()
    at_rest(hand, **CASES[case](0))
    enqueue_many(CASES[case])
    monkeypatch.setattr(hand.store, "turns", Turns())
    kept.clear()
    [first] = hand.claim(1)
    hand.store.due(hand.request())
    hand.store.next_due_in(hand.request())
    hand.store.commit([hand.outcome(first, "queued", reason="continue")])
    assert hand.store.insert([new_item(idempotency_key="item 7"), new_item(idempotency_key="new")])
    assert [text for text, plan in kept.items() if "roost_workitem" in read_whole(plan)] == []
    ran = {text: looked_at(plan) for text, plan in kept.items() if "Actual Rows" in plan}
    assert {text: rows for text, rows in ran.items() if rows > 4 * KEYS} == {}
    assert len(kept) >= 6


@pytest.mark.parametrize("case", CASES)
def test_who_comes_back_to_take_over_reads_all_items_once_at_the_most(
    case: str, kept: Plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "PLANS_LAST", 10**9)
    monkeypatch.setattr(session, "SIZED_SECONDS", 0.0)
    hand, dead = Hand(), Hand()
    at_rest(hand, **CASES[case](0))
    enqueue_many(CASES[case])
    Together([lambda: dead.claim(20)]).results()
    kept.clear()
    assert dead.die().recovered == 20
    ran = {text: looked_at(plan) for text, plan in kept.items() if "Actual Rows" in plan}
    assert {text: rows for text, rows in ran.items() if rows > 1.5 * ITEMS} == {}
