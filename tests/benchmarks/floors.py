"""What raw psycopg (and sqlite3) reaches with the rows of a step: the item's update, a snapshot and an event.

`batched` writes 100 steps a statement and commit, `single` one. `atomic` writes the product's row, the update, the
snapshot and the event in four statements and one transaction a step. `sqlite` writes batches of 50 to a file with
synchronous=FULL. Each process has 100 items of its own; tables, indexes and constraints are Roost's.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection

from tests.ledger import PADDING

ITEMS = 100
DATA = f'{{"n":1,"pad":"{PADDING}"}}'
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
ATOMIC_SQL = (
    "INSERT INTO ledger_entry (item, number, pid) VALUES (%(id)s, %(version)s, 0)",
    """
UPDATE roost_workitem SET version = %(version)s, event_seq = event_seq + 1, row_version = row_version + 1,
    steps_total = steps_total + 1, updated_at = statement_timestamp()
WHERE id = %(id)s AND version = %(version)s - 1
""",
    """
INSERT INTO roost_snapshot (work_item_id, version, epoch, data, label, created_at)
VALUES (%(id)s, %(version)s, 1, %(data)s::jsonb, '', statement_timestamp())
""",
    """
INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, actor, reason, created_at)
VALUES (%(id)s, %(version)s, 'step', %(version)s, 1, 0, '', '', statement_timestamp())
""",
)
ITEM_SQL = """
INSERT INTO roost_workitem (id, namespace, engine, engine_version, pool, priority, fair_key, resources, limited, state,
    reason, paused_from, pause_requested, step_label, run_at, attempt, max_attempts, deaths, relation, fingerprint,
    acknowledged_by, event_seq, version, epoch, row_version, steps_total, duration_total, away_total, tokens_total,
    cost_total, created_at, updated_at)
SELECT id, 'floor', 'floor', '1', 'floor', 0, '', '[]', false, 'paused', 'operator', 'queued', false, '',
    statement_timestamp(), 0, 5, 0, '', '', '', 0, 0, 0, 1, 0, 0, 0, 0, 0, statement_timestamp(), statement_timestamp()
FROM unnest(%s::uuid[]) AS id
"""
SQLITE_TABLES = """
CREATE TABLE item (id TEXT PRIMARY KEY, state TEXT, version INT, event_seq INT, row_version INT, updated_at TEXT);
CREATE TABLE snapshot (id INTEGER PRIMARY KEY, item TEXT REFERENCES item, version INT, epoch INT, data TEXT,
    label TEXT, created_at TEXT, UNIQUE (item, version));
CREATE TABLE event (id INTEGER PRIMARY KEY, item TEXT REFERENCES item, seq INT, kind TEXT, version INT, epoch INT,
    created_at TEXT, UNIQUE (item, seq));
"""


def _batched(raw: psycopg.Connection[Any], chunk: list[uuid.UUID], versions: dict[uuid.UUID, int]) -> None:
    raw.execute(STEP_SQL, [chunk, [versions[item] for item in chunk], [DATA] * len(chunk)])


def _atomic(raw: psycopg.Connection[Any], chunk: list[uuid.UUID], versions: dict[uuid.UUID, int]) -> None:
    for item in chunk:
        with raw.transaction():
            for statement in ATOMIC_SQL:
                raw.execute(statement, {"id": item, "version": versions[item], "data": DATA})


def _write(parameters: dict[str, Any], batch: int, seconds: float, counts: Any) -> None:
    """Write in batches of so many for so long, after a tenth of a second to warm up; batch 0 means atomic steps."""
    ids = [uuid.uuid4() for _ in range(ITEMS)]
    versions = dict.fromkeys(ids, 0)
    write, batch = (_batched, batch) if batch else (_atomic, 1)
    with psycopg.connect(**parameters, autocommit=True) as raw:
        raw.execute(ITEM_SQL, [ids])
        start, done, made = time.perf_counter() + 0.1, 0, 0
        while (now := time.perf_counter()) < start + seconds:
            chunk = ids[made % ITEMS : made % ITEMS + batch]
            for item in chunk:
                versions[item] += 1
            write(raw, chunk, versions)
            made += len(chunk)
            done += len(chunk) if now >= start else 0
        counts.put(done / (time.perf_counter() - start))


def _floor(batch: int, processes: int) -> Callable[[Path, float], float]:
    def measure(folder: Path, seconds: float) -> float:
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


def _sqlite(folder: Path, seconds: float) -> float:
    raw = sqlite3.connect(folder / f"floor-{time.monotonic_ns()}.sqlite3", isolation_level=None)
    raw.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;" + SQLITE_TABLES)
    ids = [str(uuid.uuid4()) for _ in range(50)]
    now = "2026-01-01 00:00:00.000000"
    raw.executemany("INSERT INTO item VALUES (?, 'running', 0, 0, 1, ?)", [(item, now) for item in ids])
    start, version = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        version += 1
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany(
            "UPDATE item SET version = version + 1, event_seq = event_seq + 1, row_version = row_version + 1,"
            " updated_at = ? WHERE id = ? AND version = ?",
            [(now, item, version - 1) for item in ids],
        )
        raw.executemany(
            "INSERT INTO snapshot (item, version, epoch, data, label, created_at) VALUES (?, ?, 1, ?, '', ?)",
            [(item, version, DATA, now) for item in ids],
        )
        raw.executemany(
            "INSERT INTO event (item, seq, kind, version, epoch, created_at) VALUES (?, ?, 'step', ?, 1, ?)",
            [(item, version, version, now) for item in ids],
        )
        raw.execute("COMMIT")
    elapsed = time.perf_counter() - start
    raw.close()
    return version * len(ids) / elapsed


FLOORS: dict[str, Callable[[Path, float], float]] = {
    "batched_1p": _floor(100, 1),
    "batched_2p": _floor(100, 2),
    "single_1p": _floor(1, 1),
    "atomic_2p": _floor(0, 2),
    "sqlite_1p": _sqlite,
}
