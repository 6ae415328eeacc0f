"""Insert work items, each with its `enqueued` event, in one statement for each chunk."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from runtime.store import offloading
from runtime.store.postgres.arrays import plain, slices, texts
from runtime.store.postgres.session import GUARD, Rows, forget_plans, lock_timeout, rows, seconds
from runtime.store.transactions import transacted
from runtime.store.values import NewItem
from runtime.store.whole import ITEM, inserted

if TYPE_CHECKING:
    from runtime.models import WorkItem

CHUNK = 500

COLUMNS = {
    "id": plain,
    "namespace": texts,
    "engine": texts,
    "engine_version": texts,
    "pool": texts,
    "payload": texts,
    "config": texts,
    "priority": plain,
    "fair_key": texts,
    "resources": texts,
    "limited": plain,
    "delay": plain,
    "run_at": plain,
    "deadline_at": plain,
    "max_attempts": plain,
    "max_steps": plain,
    "pause_at_step": plain,
    "step_timeout": plain,
    "item_timeout": plain,
    "parent_id": plain,
    "relation": texts,
    "idempotency_key": texts,
    "actor": texts,
    "reason": texts,
    "click": texts,
}
"""Columns of a new item in the order of INSERT's arrays, and what writes each array."""

_INSERT = f"""
WITH n AS (
    SELECT n.* FROM {GUARD}, unnest(
        %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::text[],
        %s::text[], %s::bool[], %s::float8[], %s::timestamptz[], %s::timestamptz[], %s::int[], %s::bigint[],
        %s::bigint[], %s::float8[], %s::float8[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[]
    ) AS n(
        id, namespace, engine, engine_version, pool, payload, config, priority, fair_key,
        resources, limited, delay, run_at, deadline_at, max_attempts, max_steps, pause_at_step,
        step_timeout, item_timeout, parent_id, relation, idempotency_key, actor, reason, click
    )
), inserted AS (
    INSERT INTO roost_workitem (
        id, namespace, engine, engine_version, pool, payload, config, priority, fair_key,
        resources, limited, run_at, deadline_at, max_attempts, max_steps, pause_at_step,
        step_timeout, item_timeout, parent_id, relation, idempotency_key,
        state, reason, paused_from, pause_requested, step_label, attempt, deaths, fingerprint, acknowledged_by,
        row_version, event_seq, version, epoch, steps_total, duration_total, away_total, tokens_total, cost_total,
        created_at, updated_at
    )
    SELECT
        id, namespace, engine, engine_version, pool, payload::jsonb, config::jsonb, priority, fair_key,
        resources::jsonb, limited, coalesce(run_at, statement_timestamp() + {seconds("delay")}),
        deadline_at, max_attempts, max_steps, pause_at_step, step_timeout, item_timeout, parent_id, relation,
        idempotency_key,
        'queued', 'new', '', false, '', 0, 0, '', '',
        1, 1, 0, 0, 0, 0, 0, 0, 0,
        statement_timestamp(), statement_timestamp()
    FROM n
    ON CONFLICT (namespace, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING {{returned}}
), told AS (
    INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, actor, reason, data, created_at)
    SELECT
        id, 1, 'enqueued', 0, 0, 0, n.actor, n.reason,
        CASE WHEN n.click <> '' THEN jsonb_build_object('click', n.click) END, statement_timestamp()
    FROM inserted JOIN n USING (id)
)
SELECT {{wanted}} FROM inserted
"""
INSERT = _INSERT.format(returned="id", wanted="id")
"""Inserts what is new, and tells its ids."""


def insert(using: str, items: Sequence[NewItem]) -> set[uuid.UUID]:
    """Insert the items; return the ids inserted. Joins the caller's transaction, else makes one of its own.

    Keys are taken in one order everywhere, so that two bulk inserts with the same keys cannot deadlock.
    """
    if not items:
        return set()
    ordered = sorted(items, key=lambda item: (item.namespace, item.idempotency_key or "", item.id))
    parts = list(slices(ordered, lambda item: len(item.payload), CHUNK))
    moved = offloading.payloads(ordered)
    if len(parts) == 1 and not moved:
        return _insert(using, ordered)

    def all_parts() -> set[uuid.UUID]:
        inserted = set().union(*(_insert(using, part) for part in parts))
        offloading.remember_payloads(using, moved, inserted)
        forget_plans(using)
        return inserted

    return transacted(using, all_parts)


def insert_one(using: str, item: NewItem) -> WorkItem | None:
    """Insert an item and return its row, None when its key is taken; in one statement, unless its payload was moved."""
    if offloading.payloads([item]):
        return inserted(using, item, partial(insert, using))
    found = _rows(using, _insert_one(), [item])
    return ITEM.row(using, found[0]) if found else None


@cache
def _insert_one() -> str:
    return _INSERT.format(returned=ITEM.named("roost_workitem"), wanted=ITEM.named("inserted"))


def _insert(using: str, items: Sequence[NewItem]) -> set[uuid.UUID]:
    return {row[0] for row in _rows(using, INSERT, items)}


def _rows(using: str, statement: str, items: Sequence[NewItem]) -> Rows:
    arrays = [write(getattr(item, name) for item in items) for name, write in COLUMNS.items()]
    return rows(using, statement, [lock_timeout(using), *arrays])
