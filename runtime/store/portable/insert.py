"""Insert work items, each with its `enqueued` event."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from typing import Any

from runtime import clock
from runtime.store import offloading
from runtime.store.portable.statements import keys, later, places, rows, stored, write_many
from runtime.store.transactions import transacted
from runtime.store.values import NewItem

CHUNK = 500

INSERT = """
INSERT INTO roost_workitem (
    id, namespace, engine, engine_version, pool, payload, config, priority, fair_key, resources, limited,
    run_at, deadline_at, max_attempts, max_steps, pause_at_step, step_timeout, item_timeout,
    parent_id, relation, idempotency_key, created_at, updated_at,
    state, reason, paused_from, pause_requested, step_label, attempt, deaths, fingerprint, acknowledged_by,
    row_version, event_seq, version, epoch, steps_total, duration_total, away_total, tokens_total, cost_total
) VALUES (
    %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
    %s, %s, %s, %s, %s, %s, %s,
    %s, %s, %s, %s, %s,
    'queued', 'new', '', 0, '', 0, 0, '', '',
    1, 1, 0, 0, 0, 0.0, 0.0, 0, 0
)
ON CONFLICT (namespace, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
"""

TELL = """
INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, actor, reason, data, created_at)
VALUES (%s, 1, 'enqueued', 0, 0, 0, %s, %s, %s, %s)
"""


def insert(using: str, items: Sequence[NewItem]) -> set[uuid.UUID]:
    """Insert the items; return the ids inserted. Joins the caller's transaction, else makes one of its own.

    It writes before it reads, so that a caller's transaction that has read nothing yet never ends in a busy error.
    """
    if not items:
        return set()

    def whole() -> set[uuid.UUID]:
        now = clock.now(using)
        chunks = [_insert(using, items[start : start + CHUNK], now) for start in range(0, len(items), CHUNK)]
        inserted = set().union(*chunks)
        offloading.remember_payloads(using, offloading.payloads(items), inserted)
        return inserted

    return transacted(using, whole)


def _insert(using: str, items: Sequence[NewItem], now: dt.datetime) -> set[uuid.UUID]:
    write_many(using, INSERT, [_row(using, item, now) for item in items])
    keyed = keys(item.id for item in items if item.idempotency_key is not None)
    there: set[str] = set()
    if keyed:
        there = {row[0] for row in rows(using, f"SELECT id FROM roost_workitem WHERE id IN ({places(keyed)})", keyed)}
    inserted = [item for item in items if item.idempotency_key is None or item.id.hex in there]
    moment = stored(using, now)
    write_many(using, TELL, [(item.id.hex, item.actor, item.reason, _data(item), moment) for item in inserted])
    return {item.id for item in inserted}


def _data(item: NewItem) -> str | None:
    return json.dumps({"click": item.click}) if item.click else None


def _row(using: str, item: NewItem, now: dt.datetime) -> tuple[Any, ...]:
    moment = stored(using, now)
    return (
        item.id.hex,
        item.namespace,
        item.engine,
        item.engine_version,
        item.pool,
        item.payload,
        item.config,
        item.priority,
        item.fair_key,
        item.resources,
        item.limited,
        stored(using, item.run_at or later(now, item.delay)),
        stored(using, item.deadline_at),
        item.max_attempts,
        item.max_steps,
        item.pause_at_step,
        item.step_timeout,
        item.item_timeout,
        item.parent_id.hex if item.parent_id else None,
        item.relation,
        item.idempotency_key,
        moment,
        moment,
    )
