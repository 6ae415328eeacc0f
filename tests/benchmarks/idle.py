"""What a worker costs while there is nothing to do."""

from __future__ import annotations

import time

import psutil
from django.db import connection

from tests.benchmarks.measure import Bench, Figure, Measure, rounds
from tests.benchmarks.traffic import Traffic
from tests.processes.fleet import Fleet

SETTLE_SECONDS = 4.0


def take_idle(bench: Bench) -> dict[str, list[float]]:
    """Return the share of a core that one idle `runworker` and its database sessions use, and its queries a second."""
    seconds = bench.scale(60, quick=10)

    def once() -> dict[str, float]:
        bench.empty()
        return {"idle_core_share": _watch(bench, seconds), "idle_queries_per_s": _queries(bench, seconds)}

    return rounds(bench, once)


def _watch(bench: Bench, seconds: float) -> float:
    fleet = bench.fleet()
    try:
        _settle(fleet)
        before = _cpu(fleet)
        start = time.perf_counter()
        time.sleep(seconds)
        after = _cpu(fleet)
        return sum(after[pid] - before.get(pid, 0.0) for pid in after) / (time.perf_counter() - start)
    finally:
        fleet.stop()


def _queries(bench: Bench, seconds: float) -> float:
    """Count statements; transactions where the server's log cannot be read."""
    fleet, traffic = bench.fleet(), Traffic(bench.server_log)
    try:
        _settle(fleet, traffic.options)
        start = time.perf_counter()
        with traffic:
            time.sleep(seconds)
        count = traffic.commits if traffic.statements is None else traffic.statements
        return count / (time.perf_counter() - start)
    finally:
        fleet.stop()


def _settle(fleet: Fleet, options: str = "") -> None:
    if options:
        fleet.environment["PGOPTIONS"] = options
    fleet.start("--engines", "hop")
    time.sleep(SETTLE_SECONDS)


def _cpu(fleet: Fleet) -> dict[int, float]:
    """Return the CPU seconds so far of every process of the fleet, and of every other session of the database."""
    first = psutil.Process(fleet.commands[0].pid)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        sessions = [psutil.Process(pid) for (pid,) in cursor.fetchall() if psutil.pid_exists(pid)]
    everyone = [first, *first.children(recursive=True), *sessions]
    return {one.pid: one.cpu_times().user + one.cpu_times().system for one in everyone}


MEASURES = [
    Measure(
        take=take_idle,
        figures={"idle_core_share": Figure(unit="cores"), "idle_queries_per_s": Figure(unit="queries/s")},
    ),
]
