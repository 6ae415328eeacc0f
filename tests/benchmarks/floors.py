"""What raw psycopg reaches with the same rows: the item's update, a snapshot and an event a step.

`batched` writes 100 steps a statement and commit, `single` one. Each process has 100 items of its own.
"""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connection

from tests.ledger import PADDING

ITEMS = 100
STEP_SQL = """
WITH o AS (SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::text[]) AS o(id, version, data)),
updated AS (
    UPDATE roost_workitem w
    SET version = o.version, event_seq = w.event_seq + 1, row_version = w.row_version + 1,
        steps_total = w.steps_total + 1, updated_at = statement_timestamp()
    FROM o WHERE w.id = o.id AND w.version = o.version - 1
    RETURNING w.id, w.version, w.event_seq
),
snapshots AS (
    INSERT INTO roost_snapshot (work_item_id, version, epoch, data, label, created_at)
    SELECT o.id, o.version, 1, o.data::jsonb, '', statement_timestamp() FROM o JOIN updated USING (id)
)
INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, actor, reason, created_at)
SELECT id, event_seq, 'step', version, 1, 0, '', '', statement_timestamp() FROM updated
"""
ITEM_SQL = """
INSERT INTO roost_workitem (id, namespace, engine, engine_version, pool, priority, fair_key, resources, limited, state,
    reason, paused_from, pause_requested, step_label, run_at, attempt, max_attempts, deaths, relation, fingerprint,
    acknowledged_by, event_seq, version, epoch, row_version, steps_total, duration_total, away_total, tokens_total,
    cost_total, created_at, updated_at)
SELECT id, 'floor', 'floor', '1', 'floor', 0, '', '[]', false, 'paused', 'operator', 'queued', false, '',
    statement_timestamp(), 0, 5, 0, '', '', '', 0, 0, 0, 1, 0, 0, 0, 0, 0, statement_timestamp(), statement_timestamp()
FROM unnest(%s::uuid[]) AS id
"""


def _write(parameters: dict[str, Any], batch: int, seconds: float, counts: Any) -> None:
    ids = [uuid.uuid4() for _ in range(ITEMS)]
    versions = dict.fromkeys(ids, 0)
    data = f'{{"n":1,"pad":"{PADDING}"}}'
    with psycopg.connect(**parameters, autocommit=True) as raw:
        raw.execute(ITEM_SQL, [ids])
        until = time.perf_counter() + seconds
        start, done = time.perf_counter(), 0
        while time.perf_counter() < until:
            chunk = ids[done % ITEMS : done % ITEMS + batch]
            for item in chunk:
                versions[item] += 1
            raw.execute(STEP_SQL, [chunk, [versions[item] for item in chunk], [data] * len(chunk)])
            done += len(chunk)
        counts.put(done / (time.perf_counter() - start))


def _floor(batch: int, processes: int) -> Callable[[float], float]:
    def measure(seconds: float) -> float:
        parameters = {
            name: value
            for name, value in connection.get_connection_params().items()
            if name in {"dbname", "user", "password", "host", "port"}
        }
        context = multiprocessing.get_context("spawn")
        counts = context.Queue()
        writers = [context.Process(target=_write, args=(parameters, batch, seconds, counts)) for _ in range(processes)]
        for writer in writers:
            writer.start()
        total = sum(counts.get(timeout=seconds + 30) for _ in writers)
        for writer in writers:
            writer.join()
        return float(total)

    return measure


FLOORS: dict[str, Callable[[float], float]] = {
    "batched_1p": _floor(100, 1),
    "batched_2p": _floor(100, 2),
    "single_1p": _floor(1, 1),
    "single_2p": _floor(1, 2),
}
