"""Soak for some minutes and print what came of it; the exit code is 1 if anything is lost, doubled, stuck or slow.

    python -m tests.soak [--minutes 10] [--seed N] [--nightly] [--plan] [--json FILE]

Real `runworker` processes work on a private PostgreSQL server, with the default settings, while workers are killed,
stopped and cut off and the server is restarted. The faults, and the load, are made from the seed, which is printed.
The nightly form has four such workers, two of them behind pgbouncer and one with its clock an hour fast, and an
artifact storage that fails at times.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import random
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.server import fresh
from tests.postgres import PrivatePostgres
from tests.soak.faults import NIGHTLY, Pace, plan
from tests.soak.pooler import MISSING, Pooler, program

DATABASE = "roost_soak"
MINUTES, NIGHTLY_MINUTES = 10.0, 120.0
NOT_POSSIBLE = 2


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help=f"{MINUTES:g}, in the nightly form {NIGHTLY_MINUTES:g}")
    parser.add_argument("--nightly", action="store_true", help="more kinds of faults, for longer; needs pgbouncer")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--plan", action="store_true", help="print the faults and do nothing")
    parser.add_argument("--json", type=Path, help="write what came of it here, too")
    for field in dataclasses.fields(Pace):
        parser.add_argument(f"--{field.name}", type=float, help="seconds between two of these; 0 is never")
    return parser.parse_args()


def pace_of(chosen: argparse.Namespace) -> Pace:
    """Return how often each fault is to come."""
    given = {field.name: getattr(chosen, field.name) for field in dataclasses.fields(Pace)}
    changed = {name: seconds for name, seconds in given.items() if seconds is not None}
    return dataclasses.replace(NIGHTLY if chosen.nightly else Pace(), **changed)


def main() -> int:
    """Soak."""
    chosen = arguments()
    seed = random.SystemRandom().randrange(1_000_000) if chosen.seed is None else chosen.seed
    minutes = chosen.minutes or (NIGHTLY_MINUTES if chosen.nightly else MINUTES)
    faults = plan(seed, minutes * 60, pace_of(chosen))
    if chosen.plan:
        sys.stdout.write("".join(f"{fault}\n" for fault in faults))
        return 0
    if chosen.nightly and program() is None:
        sys.stderr.write(MISSING)
        return NOT_POSSIBLE
    sys.stdout.write(f"seed {seed}: {len(faults)} faults in {minutes:g} minutes\n")
    sys.stdout.flush()
    # Whoever ends a soak early ends its workers and its server with it.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    with (
        tempfile.TemporaryDirectory(prefix="roost-soak-") as name,
        PrivatePostgres() as server,
        ExitStack() as beside,
    ):
        folder, url = Path(name), fresh(server.url, DATABASE)
        pooler = beside.enter_context(Pooler(url)) if chosen.nightly else None
        os.environ["ROOST_PROCESS_DATABASE_URL"] = url
        os.environ["ROOST_PROCESS_ARTIFACTS"] = f"{folder}/artifacts"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.processes.settings"
        os.environ["PGAPPNAME"] = "soak"
        import django
        from django.core.management import call_command

        django.setup()
        logging.disable(logging.INFO)
        call_command("migrate", run_syncdb=True, verbosity=0)
        from tests.soak import report
        from tests.soak.run import Soak

        came = Soak(server, url, folder, seed, faults, pooler).run(minutes * 60)
    sys.stdout.write(report.text(came))
    if chosen.json:
        chosen.json.write_text(json.dumps(report.data(came), default=str, indent=1))
    return int(bool(came.wrong or report.too_slow(came)))


if __name__ == "__main__":
    sys.exit(main())
