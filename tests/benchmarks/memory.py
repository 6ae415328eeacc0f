"""How much memory a worker process takes, and whether a million steps add to it."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
from django.db import connection

from runtime.models import Worker
from tests.benchmarks.measure import PATIENCE, Bench, Figure, Measure
from tests.benchmarks.steps import STEPS, fill

MIB = 1024 * 1024
STEPS_SQL = "SELECT coalesce(sum(steps_total), 0) FROM roost_workitem"


def take_memory(bench: Bench) -> dict[str, list[float]]:
    """Return the worker process's largest resident memory over all steps, and how much the last 80 % of them added."""
    total = bench.scale(1_000_000, quick=60_000)
    bench.empty()
    fill("hop", total // STEPS, STEPS)
    bench.settle()
    fleet = bench.fleet()
    sizes: list[tuple[int, float]] = []
    try:
        fleet.start("--engines", "hop")
        worker = psutil.Process(Worker.objects.exclude(state="offline").get().pid)
        fleet.wait(PATIENCE, _watch(worker, sizes, total), "the load")
    finally:
        fleet.stop()
    early = max(size for done, size in sizes if done <= total // 5 or done == sizes[0][0])
    largest = max(size for _done, size in sizes)
    return {"worker_rss_mb": [largest], "worker_rss_growth_mb": [largest - early]}


def _watch(worker: psutil.Process, sizes: list[tuple[int, float]], total: int) -> Callable[[], bool]:
    def look() -> bool:
        time.sleep(0.5)
        with connection.cursor() as cursor:
            cursor.execute(STEPS_SQL)
            done = int(cursor.fetchone()[0])
        sizes.append((done, worker.memory_info().rss / MIB))
        return done >= total

    return look


MEASURES = [
    Measure(
        take=take_memory,
        figures={"worker_rss_mb": Figure(unit="MiB"), "worker_rss_growth_mb": Figure(unit="MiB")},
    ),
]
