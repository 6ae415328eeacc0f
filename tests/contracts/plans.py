"""Fill PostgreSQL with a hundred thousand items, and look at the plans of the statements that are sent to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer

from runtime.store.postgres import roomy, session

ITEMS = 100_000
RUNNING = 5_000
LARGE = frozenset({"roost_journalentry", "roost_workitem", "roost_snapshot", "roost_event", "roost_resourceclaim"})

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
    """Fill the tables; one item in `later` is due in a day, the others are due now.

    Truncated first: tests before this one that were rolled back leave dead rows, and dead entries in the indexes.
    """
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE roost_workitem, roost_resource CASCADE")
        cursor.execute(BULK, [later, RUNNING, ITEMS])
        cursor.execute(AROUND)


Plan = dict[str, Any]
Plans = dict[str, Plan]


def explain(wrapper: BaseDatabaseWrapper, text: str, params: Sequence[Any], *, run: bool = False) -> Plan:
    """Return the plan of a statement; with `run`, as it was carried out."""
    how = "ANALYZE, BUFFERS, FORMAT JSON" if run else "FORMAT JSON"
    with psycopg.ClientCursor(wrapper.connection) if run else psycopg.Cursor(wrapper.connection) as cursor:
        cursor.execute(f"EXPLAIN ({how}) {text}", params)
        plan: Plan = cursor.fetchall()[0][0][0]["Plan"]
    return plan


@contextmanager
def in_order(wrapper: BaseDatabaseWrapper) -> Iterator[None]:
    """Plan in the block as `session.rows_in_order` has it."""
    wrapper.connection.execute("SET enable_sort = off")
    yield
    wrapper.connection.execute("RESET enable_sort")


def cached_plan(wrapper: BaseDatabaseWrapper, text: str, params: Sequence[Any]) -> Plan:
    """Return the plan that this session keeps for a statement that it has prepared; of a look, as it is carried out."""
    sent = PostgresQuery(Transformer(wrapper.connection))
    sent.convert(text, params)
    run = "" if _WRITES.search(text) else "ANALYZE, BUFFERS, "
    places = f"({', '.join(['%s'] * len(params))})" if params else ""
    with psycopg.ClientCursor(wrapper.connection) as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements WHERE statement = %s", [sent.query.decode()])
        [[name]] = cursor.fetchall()
        cursor.execute(f"EXPLAIN ({run}FORMAT JSON) EXECUTE {name}{places}", params or None)
        plan: Plan = cursor.fetchall()[0][0][0]["Plan"]
    return plan


_WRITES = re.compile(r"\b(UPDATE roost|INSERT INTO|DELETE FROM)")


def watch_store(monkeypatch: pytest.MonkeyPatch, *, run_reads: bool = False) -> Plans:
    """Return a mapping that collects the plan of each statement that the store sends by itself.

    With `run_reads` they are the plans of those that only read, as they were carried out.
    """
    found: Plans = {}
    send, send_in_order, send_each = session._send, session._send_in_order, session.rows_of_each

    def note(wrapper: BaseDatabaseWrapper, text: str, params: Sequence[Any]) -> None:
        if run_reads and _WRITES.search(text):
            return
        if text.lstrip().startswith(("WITH", "SELECT", "DELETE", "UPDATE", "INSERT", "(")):
            found[text] = explain(wrapper, text, params, run=run_reads)

    def explained(wrapper: BaseDatabaseWrapper, text: str, params: Sequence[Any]) -> session.Rows:
        note(wrapper, text, params)
        return send(wrapper, text, params)

    def explained_in_order(wrapper: BaseDatabaseWrapper, text: str, params: Sequence[Any]) -> session.Rows:
        with in_order(wrapper):
            note(wrapper, text, params)
        return send_in_order(wrapper, text, params)

    def each_explained(using: str, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[session.Rows]:
        for text, params in statements:
            note(connections[using], text, params)
        return send_each(using, statements)

    monkeypatch.setattr(session, "_send", explained)
    monkeypatch.setattr(session, "_send_in_order", explained_in_order)
    monkeypatch.setattr(roomy, "rows_of_each", each_explained)
    return found


@contextmanager
def watched_reads() -> Iterator[Plans]:
    """Collect the plan of each query that Django sends, as it was carried out."""
    found: Plans = {}

    def explained(execute: Any, text: str, params: Any, many: bool, context: Any) -> Any:
        if text.lstrip().startswith(("SELECT", "WITH")):
            named = params if isinstance(params, dict) else tuple(params or ())
            found[text % named] = explain(connection, text, params, run=True)
        return execute(text, params, many, context)

    with connection.execute_wrapper(explained):
        yield found


def read_whole(plan: Plan) -> set[str]:
    """Return the large tables that a plan reads from end to end."""
    below = [table for part in plan.get("Plans", []) for table in read_whole(part)]
    whole = plan["Node Type"] == "Seq Scan" and plan["Relation Name"] in LARGE
    return {*below, *([plan["Relation Name"]] if whole else [])}


def sorted_rows(plan: Plan) -> int:
    """Return how many rows the largest sort of a plan is expected to take."""
    own = plan["Plan Rows"] if plan["Node Type"] == "Sort" else 0
    return max([own, *(sorted_rows(part) for part in plan.get("Plans", []))])


def looked_at(plan: Plan, tables: frozenset[str] = LARGE) -> int:
    """Return how many rows of these tables, the large ones, a plan that was carried out looked at."""
    below = sum(looked_at(part, tables) for part in plan.get("Plans", []))
    if plan.get("Relation Name") not in tables:
        return below
    removed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    return below + int((plan["Actual Rows"] + removed) * plan["Actual Loops"])


def blocks(plan: Plan) -> int:
    """Return how many blocks a plan that was carried out read."""
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
