"""The embedded database: one worker process, 50 items in flight, synchronous=FULL."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from tests.benchmarks.measure import PATIENCE, Bench, Figure, Measure, rounds
from tests.benchmarks.steps import STEPS
from tests.processes.tree import ROOT

RATE_SQL = """
SELECT count(*), (julianday(max(created_at)) - julianday(min(created_at))) * 86400
FROM roost_event, (SELECT min(created_at) AS first FROM roost_event WHERE kind = 'step')
WHERE kind = 'step' AND julianday(created_at) > julianday(first) + 0.2 / 86400
"""
FILL = "from tests.benchmarks.steps import fill; import sys; fill('hop', int(sys.argv[1]), int(sys.argv[2]))"


def take_sqlite(bench: Bench) -> dict[str, list[float]]:
    """Return steps a second on a file of its own; refuse a connection that does not sync in full."""

    def once() -> dict[str, float]:
        file = bench.folder / f"bench-{time.monotonic_ns()}.sqlite3"
        environment = {
            **os.environ,
            "ROOST_PROCESS_DATABASE_URL": f"sqlite:///{file}",
            "PYTHONPATH": str(ROOT),
        }
        items = bench.scale(1500)
        _manage(environment, "migrate", "--run-syncdb", "--verbosity", "0")
        _require_full_sync(environment)
        _manage(environment, "shell", "--verbosity", "0", "-c", FILL.replace("sys.argv[1]", str(items)).replace(
            "sys.argv[2]", str(STEPS)
        ))
        return {"sqlite_steps_1p": _run(bench, file, items)}

    return rounds(bench, once)


def _run(bench: Bench, file: Path, items: int) -> float:
    with sqlite3.connect(file, isolation_level=None, timeout=30) as reader:
        fleet = bench.fleet(f"sqlite:///{file}")
        try:
            fleet.launch("runworker", "--engines", "hop")
            fleet.wait(PATIENCE, lambda: _left(reader) == 0, "the load")
        finally:
            fleet.stop()
        count, seconds = reader.execute(RATE_SQL).fetchone()
        total = reader.execute("SELECT count(*) FROM roost_event WHERE kind = 'step'").fetchone()[0]
    assert total == items * STEPS, f"{total} steps instead of {items * STEPS}"
    return float(count / seconds)


def _left(reader: sqlite3.Connection) -> int:
    time.sleep(0.5)
    return int(reader.execute("SELECT EXISTS (SELECT 1 FROM roost_workitem WHERE state <> 'done')").fetchone()[0])


def _manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


def _require_full_sync(environment: dict[str, str]) -> None:
    ask = "from django.db import connection as c; k = c.cursor(); print(k.execute('PRAGMA synchronous').fetchone()[0])"
    synchronous = _manage(environment, "shell", "--verbosity", "0", "-c", ask).strip().splitlines()[-1]
    if synchronous != "2":
        raise SystemExit(f"SQLite's connections have synchronous = {synchronous}, not 2 (FULL): nothing is measured.")


MEASURES = [
    Measure(take=take_sqlite, figures={"sqlite_steps_1p": Figure(unit="steps/s", floor="sqlite_1p")}),
]
