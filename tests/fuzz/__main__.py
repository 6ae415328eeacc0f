"""Fuzz the API of a running server, and print what was found; the exit code is 1 if anything was, or too little asked.

    python -m tests.fuzz [--only sqlite|postgresql] [--examples 40] [--chains 10] [--seed N]

All of schemathesis' checks, in its four phases: examples, the borders of every field, random requests, and chains of
requests by the links of the description. The seed is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from tests.benchmarks.server import fresh
from tests.postgres import PrivatePostgres

LEAST = 2_000
"""Requests below which a run says too little."""


@contextmanager
def database(only: str, folder: Path) -> Iterator[str]:
    """Give the address of an empty database."""
    if only == "sqlite":
        yield f"sqlite:///{folder}/fuzz.sqlite3"
        return
    with PrivatePostgres() as server:
        yield fresh(server.url, "roost_fuzz")


def main() -> int:
    """Fuzz."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--examples", type=int, default=40, help="random requests of one operation, at most")
    parser.add_argument("--chains", type=int, default=10, help="suites of chains of requests, beside the first")
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if chosen.seed is None else chosen.seed
    # Whoever ends it early ends its server with it.
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
    with tempfile.TemporaryDirectory(prefix="roost-fuzz-") as name, database(chosen.only, Path(name)) as url:
        os.environ["ROOST_PROCESS_DATABASE_URL"] = url
        os.environ["ROOST_PROCESS_ARTIFACTS"] = f"{name}/artifacts"
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.processes.settings"
        return _fuzz(Path(name), chosen.examples, chosen.chains, seed)


def _fuzz(folder: Path, examples: int, chains: int, seed: int) -> int:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    from tests.fuzz.run import BRIEF, run
    from tests.fuzz.world import furnish, token
    from tests.serving import serving

    words, bearer = furnish(), token()
    settings = {f"ROOST_PROCESS_SET_{name}": str(value) for name, value in BRIEF.items()}
    log = folder / "server.log"
    with serving(log, **settings) as (address, _process):
        report = run(address, bearer, words, folder, examples=examples, seed=seed)
        sys.stdout.write(report.text)
        # A suite of chains ends when a chain cannot be played again, as the rows have changed: so there are several.
        for number in range(1, chains + 1):
            more = run(address, bearer, words, folder, examples=examples, seed=seed + number, phases=("stateful",))
            report = replace(report, cases=report.cases + more.cases, found=report.found + more.found)
            sys.stdout.write(more.text if more.found else f"chains, seed {seed + number}: {more.links}\n")
    errors = [line for line in log.read_text().splitlines() if " ERROR " in line]
    sys.stdout.write("".join(f"{line}\n" for line in errors[:50]))
    told = f"seed {seed}: {report.cases} requests to {report.operations} operations, {len(report.found)} findings\n"
    sys.stdout.write(told)
    return int(bool(report.found) or not report.whole or report.cases < LEAST)


if __name__ == "__main__":
    sys.exit(main())
