"""Measure Roost and print one JSON object a line.

    python -m tests.benchmarks [--quick] [name …]

Runs on the PostgreSQL that ROOST_TEST_DATABASE_URL names, in a database of its own, or on a private server with its
default durability (fsync and synchronous_commit on). Each figure is the median of three runs; `--quick` makes one.
`floor` is what raw psycopg reaches with the same rows on the same server in the same call; `ratio` is value / floor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.postgres import PrivatePostgres

DATABASE = "roost_bench"
VARIABLE = "ROOST_TEST_DATABASE_URL"
RUNS = 3


def main() -> int:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="figures to measure; all without")
    parser.add_argument("--quick", action="store_true", help="one run each, and less work")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="roost-bench-") as folder, _database() as url:
        os.environ["ROOST_PROCESS_DATABASE_URL"] = url
        os.environ["ROOST_PROCESS_ARTIFACTS"] = f"{folder}/artifacts"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.processes.settings"
        return _measure(chosen.names, quick=chosen.quick or os.environ.get("QUICK") == "1", folder=Path(folder))


def _measure(names: list[str], *, quick: bool, folder: Path) -> int:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    from tests.benchmarks.measures import MEASURES, Bench

    unknown = sorted(set(names) - set(MEASURES))
    if unknown:
        sys.stderr.write(f"No such figure: {', '.join(unknown)}. There are: {', '.join(MEASURES)}.\n")
        return 2
    bench = Bench(quick=quick, folder=folder)
    for name in names or MEASURES:
        measure = MEASURES[name]
        runs = [measure.take(bench) for _ in range(1 if quick else RUNS)]
        value = statistics.median(runs)
        floor = bench.floor(measure.floor) if measure.floor else None
        line = {
            "name": name,
            "value": round(value, 3),
            "unit": measure.unit,
            "floor": None if floor is None else round(floor, 3),
            "ratio": None if floor is None else round(value / floor, 3),
            "runs": [round(run, 3) for run in runs],
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    return 0


@contextmanager
def _database() -> Iterator[str]:
    given = os.environ.get(VARIABLE)
    if not given:
        with PrivatePostgres() as server:
            yield _create(server.url)
        return
    yield _create(given)


def _create(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
    return urlsplit(url)._replace(path=f"/{DATABASE}").geturl()


if __name__ == "__main__":
    sys.exit(main())
