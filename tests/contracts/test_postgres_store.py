"""What only the PostgreSQL store does: prepared statements, their plans, and batches too large for one statement."""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from dataclasses import replace

import pytest
from django.db import DatabaseError, connection, transaction

from runtime.choices import State
from runtime.models import Limit, WorkItem
from runtime.store.base import Store
from runtime.store.postgres import arrays, bounds, session
from tests.contracts.builders import Hand, Together, after, item, new_item, put, versions
from tests.sent import sent_by_hand


def prepared() -> int:
    """Return how many statements this session has prepared."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        return int(cursor.fetchone()[0])


def test_statements_are_prepared_once(store: Store, worker: Hand) -> None:
    before = prepared()
    for delay in (0.0, 1.5, 1e9):
        put(delay=delay)
        worker.store.due(worker.request())
    assert 0 < prepared() - before <= 2


def test_nothing_is_prepared_behind_a_transaction_pooler(worker: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    before = prepared()
    pk = put()
    assert worker.commit(worker.take(), State.DONE) == State.DONE
    assert (item(pk).state, prepared()) == (State.DONE, before)


def test_the_session_keeps_its_own_setting_for_prepared_statements(worker: Hand) -> None:
    before = connection.connection.prepare_threshold
    put()
    worker.take()
    assert connection.connection.prepare_threshold == before


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each statement of the store."""
    return sent_by_hand(monkeypatch)


def test_claims_under_a_limit_look_for_suspects_only_while_one_has_its_turn(
    worker: Hand, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "SUSPECTS", f"/* suspects */ {bounds.SUSPECTS}")
    Limit.objects.create(name="limit", concurrency=5)
    WorkItem.objects.filter(pk=put()).update(deaths=2)
    for priority in (1, 2, 3):
        put(priority=priority)
    looks = {}
    for seconds in (5, 20):
        with after(seconds):
            sent.clear()
            assert len(worker.claim(1)) == 1
            looks[seconds] = len([text for text in sent if "/* suspects */" in text])
    assert (looks[5], looks[20] > 0) == (0, True)


def test_a_busy_session_has_its_plans_made_anew(worker: Hand, sent: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PLANS_LAST_SECONDS", 0.0)
    for _ in range(3 * session.PLANS_LAST):
        worker.store.due(worker.request())
    assert sent.count("DISCARD PLANS") in (2, 3)


def test_the_foreign_keys_of_a_bulk_insert_are_checked_by_plans_that_know_of_it(store: Store, sent: list[str]) -> None:
    store.insert([new_item() for _ in range(3)])
    assert "DISCARD PLANS" not in sent
    store.insert([new_item() for _ in range(501)])
    assert sent[-1] == "DISCARD PLANS"


@pytest.mark.scenario("L47")
@pytest.mark.django_db(transaction=True)
def test_a_batch_too_large_for_one_statement_is_written_in_parts_all_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "MOST_TEXT", 30)
    monkeypatch.setattr(importlib.import_module("runtime.store.postgres.commit"), "MOST_TEXT", 30)
    hand = Hand()
    items = [new_item() for _ in range(6)]
    assert hand.store.insert(items) == {one.id for one in items}
    outcomes = [hand.outcome(one, State.DONE) for one in hand.claim()]
    last = max(outcomes, key=lambda outcome: outcome.item)
    with pytest.raises(DatabaseError):
        hand.store.commit([replace(outcome, data="{" if outcome is last else outcome.data) for outcome in outcomes])
    assert {tuple(versions(one.id)) for one in items} == {()}
    assert set(hand.store.commit(outcomes).values()) == {State.DONE}
    assert {tuple(versions(one.id)) for one in items} == {(0, 1)}


@pytest.mark.django_db(transaction=True)
def test_plans_that_the_table_has_outgrown_are_made_anew(
    store: Store, worker: Hand, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SIZED_SECONDS", 0.0)
    store.insert([new_item(delay=60) for _ in range(1000)])
    worker.claim()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE roost_workitem CASCADE")
    worker.claim()
    for more, made_anew in ((1, 0), (1000, 1), (1, 0)):
        Together([lambda more=more: store.insert([new_item(delay=60) for _ in range(more)])]).results()
        sent.clear()
        worker.claim()
        assert (more, sent.count("DISCARD PLANS")) == (more, made_anew)


def test_a_busy_session_asks_seldom_whether_its_plans_are_outgrown(worker: Hand, sent: list[str]) -> None:
    for _ in range(10):
        worker.claim()
    assert sent.count(session.SIZE) <= 2


@pytest.mark.parametrize(
    ("text", "numbered"),
    [
        ("SELECT 1", "SELECT 1"),
        (
            "SELECT %s::int, %s\nFROM t WHERE a LIKE 'x%%' AND b = %s",
            "SELECT $1::int, $2\nFROM t WHERE a LIKE 'x%' AND b = $3",
        ),
        ("SELECT '%%s', %s", "SELECT '%s', $1"),
    ],
)
def test_parameters_are_numbered_as_the_server_takes_them(text: str, numbered: str) -> None:
    assert session._numbered(text) == numbered


@pytest.mark.parametrize("text", ["SELECT %(name)s", "SELECT 'x%'", "SELECT 5 %"])
def test_what_is_no_parameter_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither %s nor %%"):
        session._numbered(text)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.django_db(transaction=True)
def test_a_read_in_order_is_neither_sorted_nor_compiled_and_leaves_its_session_as_it_was(inside: bool) -> None:
    asked = "SELECT current_setting('enable_sort'), current_setting('jit')"
    connection.ensure_connection()
    with transaction.atomic() if inside else nullcontext():
        [before] = session.rows("default", asked)
        assert session.rows_in_order("default", asked) == [("off", "off")]
        assert session.rows("default", asked) == [before]
