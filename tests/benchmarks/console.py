"""How much of the database's time the console's pages take among a million items, one of them with a long story."""

from __future__ import annotations

import time
import uuid
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.benchmarks.measure import Bench, Figure, Measure, rounds

EVENTS = 10_000
LONG = uuid.UUID("01900000-0000-7000-8000-00000000beef")
# Ids as Roost makes them, one a millisecond: nine in ten have ended, and of each hundred five are dead letters.
ITEMS_SQL = """
INSERT INTO roost_workitem (
    id, namespace, engine, engine_version, pool, payload, priority, fair_key, resources, limited, run_at, max_attempts,
    relation, state, reason, paused_from, pause_requested, step_label, attempt, deaths, fingerprint, acknowledged_by,
    row_version, event_seq, version, epoch, steps_total, duration_total, away_total, tokens_total, cost_total,
    created_at, updated_at
)
SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
        || substr(md5(n::text), 4, 15))::uuid,
    'default', (ARRAY['counter', 'watchlist', 'refund'])[n %% 3 + 1], '1', 'default', '{"count_to": 3}', 0, '', '[]',
    false, now(), 5, '',
    CASE WHEN n %% 100 < 85 THEN 'done' WHEN n %% 100 < 90 THEN 'failed' WHEN n %% 100 < 98 THEN 'queued'
        ELSE 'waiting' END,
    'continue', '', false, 'step', 0, 0, CASE WHEN n %% 100 BETWEEN 85 AND 89 THEN 'f' || n %% 50 ELSE '' END, '',
    1, 1, 1, 1, 1, 0, 0, 0, 0, now(), now()
FROM generate_series(1, %s) AS n
"""
EVENTS_SQL = """
INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, actor, reason, data, duration, created_at)
SELECT %s, seq, 'step', seq, 1, 0, '', 'step', NULL, 0.01, now() FROM generate_series(1, %s) AS seq
"""
SNAPSHOTS_SQL = """
INSERT INTO roost_snapshot (work_item_id, version, epoch, data, label, created_at)
SELECT %s, version, 1, '{"count": 1}', 'step', now() FROM generate_series(1, %s) AS version
"""
NAMED_SQL = """
UPDATE roost_workitem SET event_seq = %s, version = %s, id = %s
WHERE id = (SELECT id FROM roost_workitem WHERE state = 'queued' ORDER BY id LIMIT 1)
"""


def take_pages(bench: Bench) -> dict[str, list[float]]:
    """Return the milliseconds that all queries of a page take: of the list, narrowed and not, and of an item's page."""
    listing, count = "admin:roost_workitem_changelist", bench.scale(1_000_000, quick=100_000)
    pages = {
        "console_list_ms": reverse(listing),
        "console_search_ms": reverse(listing, query={"q": "engine:watchlist state:failed"}),
        "console_item_ms": reverse("admin:roost_workitem_change", args=[LONG]),
        "console_story_ms": reverse("admin:roost_workitem_story", args=[LONG], query={"after": EVENTS - 150}),
    }
    bench.empty()
    bench.say(f"writing {count:,} items and {EVENTS:,} events of one of them …")
    with connection.cursor() as cursor:
        cursor.execute(ITEMS_SQL, [count])
        cursor.execute(NAMED_SQL, [EVENTS, EVENTS, LONG])
        cursor.execute(EVENTS_SQL, [LONG, EVENTS])
        cursor.execute(SNAPSHOTS_SQL, [LONG, EVENTS])
    bench.settle()
    client = _signed_in()
    return rounds(bench, lambda: {name: _milliseconds(client, url) for name, url in pages.items()})


def _signed_in() -> Client:
    users: Any = get_user_model()._default_manager
    user = users.filter(username="bench").first() or users.create_superuser("bench", password="bench")
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def _milliseconds(client: Client, url: str) -> float:
    spent: list[float] = []

    def timed(execute: Any, *statement: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(*statement)
        finally:
            spent.append(time.perf_counter() - begun)

    with connection.execute_wrapper(timed):
        answer = client.get(url)
    if answer.status_code != 200:
        raise RuntimeError(f"{url} answered {answer.status_code}")
    return sum(spent) * 1000


MEASURES = [
    Measure(
        take=take_pages,
        figures={
            name: Figure(unit="ms")
            for name in ("console_list_ms", "console_search_ms", "console_item_ms", "console_story_ms")
        },
    )
]
