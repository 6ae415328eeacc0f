"""Measure Roost and print one JSON object a line.

    python -m tests.benchmarks [--quick] [--peers] [name …]

Runs on a private PostgreSQL server with its default durability (fsync and synchronous_commit on), or in a database of
its own on the one that ROOST_TEST_DATABASE_URL names. Each figure is the median of three runs; `--quick` (or QUICK=1)
makes one, of less work. `floor` is what raw psycopg reaches with the same rows on the same server in the same call,
and `ratio` is value / floor. `--peers` (or PEERS=1) installs other systems into build/peers and measures them beside.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.server import database, require_durable


def main() -> int:
    """Measure what was asked for, or everything."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="figures to measure; all without")
    parser.add_argument("--quick", action="store_true", default=os.environ.get("QUICK") == "1", help="one short run")
    parser.add_argument("--peers", action="store_true", default=os.environ.get("PEERS") == "1", help="and the peers")
    chosen = parser.parse_args()
    # Whoever ends a measurement early ends its workers and its server with it.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    with tempfile.TemporaryDirectory(prefix="roost-bench-") as folder, database() as (url, log):
        os.environ["ROOST_PROCESS_DATABASE_URL"] = url
        os.environ["ROOST_PROCESS_ARTIFACTS"] = f"{folder}/artifacts"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.processes.settings"
        return _measure(chosen, Path(folder), log)


def _measure(chosen: argparse.Namespace, folder: Path, log: Path | None) -> int:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    require_durable()
    from tests.benchmarks.measure import Bench, Figure
    from tests.benchmarks.measures import figures, measures

    known = figures()
    unknown = sorted(set(chosen.names) - set(known))
    if unknown:
        sys.stderr.write(f"No such figure: {', '.join(unknown)}. There are: {', '.join(known)}.\n")
        return 2
    bench = Bench(quick=chosen.quick, peers=chosen.peers, folder=folder, server_log=log)
    for measure in measures(chosen.names):
        for name, runs in measure.take(bench).items():
            if not chosen.names or name in chosen.names:
                _tell(bench, name, known.get(name) or Figure(unit="ratio"), runs)
    if chosen.peers:
        from tests.benchmarks.peers import take_peers

        for name, (figure, runs) in take_peers(bench).items():
            _tell(bench, name, figure, runs)
    return 0


def _tell(bench: object, name: str, figure: object, runs: list[float]) -> None:
    from tests.benchmarks.measure import Bench, Figure

    assert isinstance(bench, Bench)
    assert isinstance(figure, Figure)
    value = bench.values[name] = statistics.median(runs)
    floor = bench.floor(figure.floor) if figure.floor else None
    line = {
        "name": name,
        "value": round(value, 4),
        "unit": figure.unit,
        "floor": None if floor is None else round(floor, 4),
        "ratio": None if floor is None else round(value / floor, 4),
        "runs": [round(run, 4) for run in runs],
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
