"""What holds on SQLite alone: the write lock is taken at once, and hot questions are answered by an index."""

from __future__ import annotations

import sqlite3
from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from runtime.choices import State
from runtime.models import Lease, WorkItem
from runtime.store.transactions import begin
from tests.contracts.builders import Hand, after, put

claim, due, sweep = (import_module(f"runtime.store.portable.{name}") for name in ("claim", "due", "sweep"))


def write_lock_is_free() -> bool:
    """Say whether another connection could begin to write now."""
    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    else:
        return True
    finally:
        other.close()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_has_the_write_lock_from_its_beginning() -> None:
    assert write_lock_is_free()
    with begin("default"):
        assert not write_lock_is_free()
    assert write_lock_is_free()


@pytest.mark.django_db(transaction=True)
def test_an_idle_claim_takes_no_write_lock() -> None:
    hand = Hand()
    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=0, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert hand.claim() == []
        assert hand.store.due(hand.request()) is None
        assert hand.store.next_due_in(hand.request()) is None
        assert hand.store.sweep(batch=10).changed == 0
    finally:
        other.close()


@pytest.mark.django_db
@pytest.mark.scenario("F12")
def test_expired_leases_of_the_living_never_hide_those_of_who_is_gone() -> None:
    living, gone = Hand(), Hand()
    for _ in range(5):
        put()
    living.claim()
    pk = put()
    gone.take()
    with after(16):
        assert gone.store.sweep(living_workers=[living.id], batch=2).recovered == 1
    assert WorkItem.objects.get(pk=pk).state == State.QUEUED
    assert Lease.objects.count() == 5


def plan(statement: str, params: list[Any]) -> str:
    """Return how SQLite would run a statement."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", params)
        return "\n".join(row[-1] for row in cursor.fetchall())


INDEXES = {due.PLAIN: "roost_item_due", due.LIMITED: "roost_item_limited", due.SUSPECT: "roost_item_suspect"}


@pytest.mark.django_db
@pytest.mark.parametrize("lane", INDEXES)
@pytest.mark.parametrize(
    ("statement", "params", "terms"),
    [
        (claim.DUE + claim.OLDEST_FIRST, [0, "2026", 50], "priority=? AND run_at<?"),
        (due.HIGHEST, [9, "2026"], "priority=? AND run_at<?"),
        (due.FIRST, [9], "priority=?"),
    ],
)
def test_what_is_due_is_answered_by_the_lanes_index(statement: str, params: list[Any], terms: str, lane: str) -> None:
    told = plan(statement.format(lane=lane, mine=""), params)
    assert f"{INDEXES[lane]} ({terms})" in told
    assert "SCAN roost_workitem" not in told


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "index"),
    [(sweep.PAST_DEADLINE, "roost_item_deadline"), (sweep.TIMED_OUT, "roost_item_timeout")],
)
def test_what_is_overdue_is_answered_by_its_index(statement: str, index: str) -> None:
    told = plan(statement, ["2026", 9])
    assert index in told
    assert "SCAN roost_workitem" not in told


@pytest.mark.django_db
def test_what_the_store_writes_the_orm_reads_as_its_own() -> None:
    pk = put(payload={"a": 1})
    hand = Hand()
    hand.commit(hand.take())
    found = WorkItem.objects.get(pk=pk)
    before = WorkItem.objects.filter(pk=pk).values().get()
    found.save()
    assert WorkItem.objects.filter(pk=pk).values().get() == before
    with connection.cursor() as cursor:
        cursor.execute("SELECT typeof(id), typeof(run_at), typeof(payload), typeof(limited) FROM roost_workitem")
        assert cursor.fetchone() == ("text", "text", "text", "integer")


@pytest.mark.django_db
def test_a_batch_takes_a_handful_of_statements(django_assert_max_num_queries: Any) -> None:
    for _ in range(50):
        put()
    hand = Hand()
    with django_assert_max_num_queries(12):
        batch = hand.claim()
    outcomes = [hand.outcome(claimed) for claimed in batch]
    with django_assert_max_num_queries(8):
        assert len(hand.store.commit(outcomes)) == 50
