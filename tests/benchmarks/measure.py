"""What a measure is, and what all of them share."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connection

from tests.benchmarks import floors
from tests.processes.fleet import Fleet

RUNS = 3
PATIENCE = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure's unit, and the floor it is compared with."""

    unit: str
    floor: str = ""


@dataclass(kw_only=True)
class Bench:
    """How much to do, where to log, and what was measured so far in this call."""

    quick: bool
    peers: bool
    folder: Path
    server_log: Path | None
    values: dict[str, float] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """How often each measure is taken."""
        return 1 if self.quick else RUNS

    def scale(self, count: int, *, quick: int | None = None) -> int:
        """Return how many to do: in a quick run `quick`, or half."""
        if not self.quick:
            return count
        return max(1, count // 2) if quick is None else quick

    def floor(self, name: str) -> float:
        """Return what raw psycopg (or sqlite3) reaches, in steps a second: the median, taken now.

        Next to what is compared with it, since a machine's speed drifts.
        """
        seconds = self.scale(3, quick=1)
        self.say(f"floor {name} …")
        return statistics.median(floors.FLOORS[name](self.folder, seconds) for _ in range(self.runs))

    def empty(self) -> None:
        """Forget the rows of earlier runs."""
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE roost_workitem, roost_worker, roost_resource, roost_limit, ledger_entry CASCADE")
            cursor.execute("CHECKPOINT")

    @staticmethod
    def settle() -> None:
        """Give the planner what autovacuum would have told it, once the load is there, and the disk what it is owed."""
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
        # What the kernel still writes of a large load would slow the commits that are measured.
        os.sync()

    def fleet(self, url: str = "") -> Fleet:
        """Return workers to start, with default settings."""
        return Fleet(self.folder, url)

    @staticmethod
    def say(text: str) -> None:
        """Tell how far things are."""
        sys.stderr.write(f"  {text}\n")
        sys.stderr.flush()


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """Something to do that yields figures: each name with the value of every run."""

    take: Callable[[Bench], dict[str, list[float]]]
    figures: dict[str, Figure]


def rounds(bench: Bench, once: Callable[[], dict[str, float]]) -> dict[str, list[float]]:
    """Take a measure as often as this call asks for, and put the runs of each figure together."""
    taken: dict[str, list[float]] = {}
    for number in range(bench.runs):
        for name, value in once().items():
            taken.setdefault(name, []).append(value)
            bench.say(f"{name} run {number + 1}: {value:,.3f}")
    return taken
