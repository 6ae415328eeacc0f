"""How many steps a second: both lanes, one process and two, one item alone; and what a step costs the database."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import connection

from runtime.models import WorkItem
from runtime.operations.enqueue_many import enqueue_many
from tests.benchmarks.measure import PATIENCE, Bench, Figure, Measure, rounds
from tests.benchmarks.traffic import Traffic

STEPS = 20
MAX_BULK = 10_000

# All processes are at work, and have been for a moment.
WARM_SQL = """
SELECT max(first) + interval '200 ms'
FROM (SELECT min(created_at) AS first FROM roost_event WHERE kind = 'step' GROUP BY worker) workers
"""
RATE_SQL = """
SELECT count(*), extract(epoch FROM max(created_at) - %(warm)s::timestamptz)
FROM roost_event WHERE kind = 'step' AND created_at > %(warm)s
"""


def fill(engine: str, items: int, steps: int) -> None:
    """Enqueue items of so many steps each."""
    spec = {"engine": engine, "payload": {"steps": steps}}
    for start in range(0, items, MAX_BULK):
        enqueue_many([spec] * min(MAX_BULK, items - start))


def all_done() -> bool:
    """Look, now and then, whether nothing is left to do."""
    time.sleep(0.2)
    return not WorkItem.objects.exclude(state="done").exists()


def run_load(bench: Bench, *, engine: str, items: int, steps: int, processes: int, options: str = "") -> int:
    """Enqueue items, run them, check that each step was recorded once, and return how many there were."""
    bench.empty()
    fill(engine, items, steps)
    bench.settle()
    fleet = bench.fleet()
    if options:
        fleet.environment["PGOPTIONS"] = options
    try:
        fleet.start("--engines", engine, "--processes", str(processes))
        fleet.wait(PATIENCE, all_done, "the load")
    finally:
        fleet.stop()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT (work_item_id, version)) FROM roost_event WHERE kind = 'step'")
        count, distinct = cursor.fetchone()
    assert count == distinct == items * steps, f"{count} steps ({distinct} different) instead of {items * steps}"
    return int(count)


def rate() -> float:
    """Return the steps a second of the load that has just run, warm-up not counted, by the database's own times."""
    with connection.cursor() as cursor:
        cursor.execute(WARM_SQL)
        cursor.execute(RATE_SQL, {"warm": cursor.fetchone()[0]})
        count, seconds = cursor.fetchone()
    return float(count) / float(seconds)


def _steps(name: str, engine: str, items: int, steps: int, processes: int) -> Callable[[Bench], dict[str, list[float]]]:
    def take(bench: Bench) -> dict[str, list[float]]:
        def once() -> dict[str, float]:
            # One item's steps are the load itself; otherwise a short run has fewer items of the same steps.
            alone = items == 1
            run_load(
                bench,
                engine=engine,
                items=1 if alone else bench.scale(items),
                steps=bench.scale(steps) if alone else steps,
                processes=processes,
            )
            return {name: rate()}

        return rounds(bench, once)

    return take


def take_traffic(bench: Bench) -> dict[str, list[float]]:
    """Return the transactions and statements that workers send a step, heartbeats and sweeps included."""

    def once() -> dict[str, float]:
        with Traffic(bench.server_log) as traffic:
            count = run_load(
                bench, engine="hop", items=bench.scale(3000), steps=STEPS, processes=2, options=traffic.options
            )
        found = {"commits_per_step": traffic.commits / count}
        if traffic.statements is not None:
            found["statements_per_step"] = traffic.statements / count
        return found

    return rounds(bench, once)


def _measure(
    name: str, engine: str, items: int, steps: int, processes: int, floor: str, unit: str = "steps/s"
) -> Measure:
    take = _steps(name, engine, items, steps, processes)
    return Measure(take=take, figures={name: Figure(unit=unit, floor=floor)})


MEASURES = [
    _measure("async_steps_2p", "hop", 6000, STEPS, 2, "batched_2p"),
    _measure("async_steps_1p", "hop", 4000, STEPS, 1, "batched_1p"),
    _measure("atomic_steps_2p", "write", 500, STEPS, 2, "atomic_2p"),
    _measure("single_step_items_2p", "hop", 20_000, 1, 2, "batched_2p", "items/s"),
    _measure("single_run_steps", "hop", 1, 4000, 1, "single_1p"),
    Measure(
        take=take_traffic,
        figures={
            "commits_per_step": Figure(unit="transactions/step"),
            "statements_per_step": Figure(unit="statements/step"),
        },
    ),
]
