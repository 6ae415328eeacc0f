"""Soak for some minutes and print what came of it; the exit code is 1 if anything is lost, doubled, stuck or slow.

    python -m tests.soak [--minutes 10] [--seed N] [--plan] [--json FILE]

Real `runworker` processes work on a private PostgreSQL server, with the default settings, while workers are killed,
stopped and cut off and the server is restarted. The faults, and the load, are made from the seed, which is printed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.server import fresh
from tests.postgres import PrivatePostgres
from tests.soak.faults import Pace, plan

DATABASE = "roost_soak"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--plan", action="store_true", help="print the faults and do nothing")
    parser.add_argument("--json", type=Path, help="write what came of it here, too")
    usual = Pace()
    for name in ("kill", "restart", "stop", "cut"):
        parser.add_argument(f"--{name}", type=float, default=getattr(usual, name), help="seconds between two of these")
    return parser.parse_args()


def main() -> int:
    """Soak."""
    chosen = arguments()
    seed = random.SystemRandom().randrange(1_000_000) if chosen.seed is None else chosen.seed
    pace = Pace(kill=chosen.kill, restart=chosen.restart, stop=chosen.stop, cut=chosen.cut)
    faults = plan(seed, chosen.minutes * 60, pace)
    if chosen.plan:
        sys.stdout.write("".join(f"{fault}\n" for fault in faults))
        return 0
    sys.stdout.write(f"seed {seed}: {len(faults)} faults in {chosen.minutes:g} minutes\n")
    sys.stdout.flush()
    # Whoever ends a soak early ends its workers and its server with it.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    with tempfile.TemporaryDirectory(prefix="roost-soak-") as name, PrivatePostgres() as server:
        folder, url = Path(name), fresh(server.url, DATABASE)
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

        came = Soak(server, url, folder, seed, faults).run(chosen.minutes * 60)
    sys.stdout.write(report.text(came))
    if chosen.json:
        chosen.json.write_text(json.dumps(report.data(came), default=str, indent=1))
    return int(bool(came.wrong or report.too_slow(came)))


if __name__ == "__main__":
    sys.exit(main())
