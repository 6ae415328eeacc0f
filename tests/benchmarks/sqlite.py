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


def take_sqlite(bench: Bench) -> dict[str, list[float]]:
    """Return steps a second on a file of its own; fails on a connection that does not sync in full."""
    items = bench.scale(1500)

    def once() -> dict[str, float]:
        file = bench.folder / f"bench-{time.monotonic_ns()}.sqlite3"
        environment = {
            **os.environ,
            "ROOST_PROCESS_DATABASE_URL": f"sqlite:///{file}",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "tests.benchmarks.sqlite_file", str(items), str(STEPS)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=sys.stderr)
        return {"sqlite_steps_1p": _run(bench, file, items)}

    return rounds(bench, once)


def _run(bench: Bench, file: Path, items: int) -> float:
    reader = sqlite3.connect(file, isolation_level=None, timeout=30)
    fleet = bench.fleet(f"sqlite:///{file}")
    try:
        fleet.launch("runworker", "--engines", "hop")
        fleet.wait(PATIENCE, lambda: _done(reader), "the load")
    finally:
        fleet.stop()
    count, seconds = reader.execute(RATE_SQL).fetchone()
    total = reader.execute("SELECT count(*) FROM roost_event WHERE kind = 'step'").fetchone()[0]
    reader.close()
    assert total == items * STEPS, f"{total} steps instead of {items * STEPS}"
    return float(count / seconds)


def _done(reader: sqlite3.Connection) -> bool:
    time.sleep(0.3)
    return not reader.execute("SELECT EXISTS (SELECT 1 FROM roost_workitem WHERE state <> 'done')").fetchone()[0]


MEASURES = [
    Measure(take=take_sqlite, figures={"sqlite_steps_1p": Figure(unit="steps/s", floor="sqlite_1p")}),
]
