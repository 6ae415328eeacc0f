"""How many recorded calls a second one item makes, and whether a hundred thousand of them cost memory or time."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
from django.db import connection

from runtime.models import JournalEntry, Worker
from runtime.operations.enqueue import enqueue
from tests.benchmarks.measure import PATIENCE, Bench, Figure, Measure
from tests.benchmarks.memory import MIB

CALLS = 100_000
CALLS_A_STEP = 1_000

# Each tenth of the calls, by the database's own times.
TENTHS_SQL = """
SELECT count(*), extract(epoch FROM max(ended_at) - min(started_at))
FROM (SELECT started_at, ended_at, ntile(10) OVER (ORDER BY id) AS tenth FROM roost_journalentry) calls
GROUP BY tenth ORDER BY tenth
"""


def take_journal(bench: Bench) -> dict[str, list[float]]:
    """Run one item that makes its calls one after the other; each is begun and ended durably.

    Return the calls a second, what the process's memory grew by over the last 80 % of them, and the time of the last
    tenth beside that of the first.
    """
    calls = bench.scale(CALLS, quick=10_000)
    bench.empty()
    bench.settle()
    enqueue("ticker", {"calls": calls, "batch": CALLS_A_STEP})
    fleet = bench.fleet()
    sizes: list[tuple[int, float]] = []
    try:
        fleet.start("--engines", "ticker")
        worker = psutil.Process(Worker.objects.exclude(state="offline").get().pid)
        fleet.wait(PATIENCE, _watch(worker, sizes, calls), "the calls")
    finally:
        fleet.stop()
    assert JournalEntry.objects.filter(state="succeeded", attempts=1).count() == calls
    with connection.cursor() as cursor:
        cursor.execute(TENTHS_SQL)
        tenths = [float(seconds) for _count, seconds in cursor.fetchall()]
    early = max(size for done, size in sizes if done <= calls // 5 or done == sizes[0][0])
    return {
        "journal_calls_100k": [calls / sum(tenths)],
        "journal_rss_growth_mb": [max(size for _done, size in sizes) - early],
        "journal_last_tenth_to_first": [tenths[-1] / tenths[0]],
    }


def _watch(worker: psutil.Process, sizes: list[tuple[int, float]], calls: int) -> Callable[[], bool]:
    def look() -> bool:
        time.sleep(0.5)
        done = JournalEntry.objects.count()
        sizes.append((done, worker.memory_info().rss / MIB))
        return JournalEntry.objects.filter(state="succeeded").count() >= calls

    return look


MEASURES = [
    Measure(
        take=take_journal,
        figures={
            "journal_calls_100k": Figure(unit="calls/s", floor="single_1p"),
            "journal_rss_growth_mb": Figure(unit="MiB"),
            "journal_last_tenth_to_first": Figure(unit="ratio"),
        },
    ),
]
