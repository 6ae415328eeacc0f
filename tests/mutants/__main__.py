"""Apply each mutation to a copy of the source, run the tests that must notice, print who did.

    python -m tests.mutants [part of a name …]

The tests are first run on the source as it is, since a test that fails anyway kills nothing. Exit code 1 when a
mutation survives, when a text to be replaced is not there exactly once, or when tests cannot be run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.mutants.mutants import GUARANTEES, MUTANTS, POSTGRES, SQLITE, Mutant
from tests.postgres import PrivatePostgres

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("runtime", "engines", "console", "roost_project", "tests", "pyproject.toml", "manage.py")
VARIABLE = "ROOST_TEST_DATABASE_URL"
FAILED = re.compile(r"^FAILED \S*?::(\w+)", re.MULTILINE)
PYTEST = ["-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--reuse-db"]
SOME_FAILED = 1
SECONDS = 600


class Unusable(Exception):
    """The run says nothing about the mutation: a text is missing, or tests could not be run."""


class Laboratory:
    """A copy of the source in which one thing at a time is broken, and a database server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url

    def run(self, database: str, tests: Iterable[str]) -> str | None:
        """Run these tests; return the first that failed, None when all passed. Raises `Unusable`."""
        environment = {**os.environ, VARIABLE: self.url if database == POSTGRES else "", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, *PYTEST, *tests]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise Unusable(f"pytest did not end within {SECONDS} s.") from None
        if done.returncode == 0:
            return None
        failed = FAILED.search(done.stdout)
        if done.returncode != SOME_FAILED or failed is None:
            raise Unusable(f"pytest ended with {done.returncode}:\n{done.stdout[-1500:]}{done.stderr[-500:]}")
        return failed[1]

    @contextmanager
    def broken(self, mutant: Mutant) -> Iterator[None]:
        """Break one thing while the block runs. Raises `Unusable` unless its text stands there exactly once."""
        file = self.folder / mutant.file
        source = file.read_text()
        if source.count(mutant.old) != 1:
            raise Unusable(f"{mutant.file} has the text {source.count(mutant.old)} times, not once:\n{mutant.old}")
        file.write_text(source.replace(mutant.old, mutant.new))
        try:
            yield
        finally:
            file.write_text(source)


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    """Make the copy and start the server; both are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="roost-mutants-") as name, PrivatePostgres() as server:
        folder = Path(name)
        for part in COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / part, folder / part)
        yield Laboratory(folder, server.url)


def check_unbroken(place: Laboratory, mutants: Iterable[Mutant]) -> None:
    """Raise `Unusable` unless all the tests pass on the source as it is."""
    for database in (SQLITE, POSTGRES):
        tests = dict.fromkeys(test for one in mutants if one.database == database for test in one.tests)
        if tests and (failed := place.run(database, tests)):
            raise Unusable(f"{failed} fails on {database} with nothing broken.")


def verdict(place: Laboratory, mutant: Mutant) -> tuple[bool, str]:
    """Return whether a test noticed, and what to print."""
    try:
        with place.broken(mutant):
            failed = place.run(mutant.database, mutant.tests)
    except Unusable as error:
        return False, f"NOT RUN: {error}"
    return (True, f"killed by {failed}") if failed else (False, "SURVIVED")


def main() -> int:
    """Try every mutation whose name has one of the given words in it, all without any."""
    words = sys.argv[1:]
    chosen = [one for one in MUTANTS if not words or any(word in one.name for word in words)]
    started, noted = time.monotonic(), []
    with laboratory() as place:
        try:
            check_unbroken(place, chosen)
        except Unusable as error:
            sys.stderr.write(f"{error}\n")
            return 1
        for mutant in chosen:
            noticed, text = verdict(place, mutant)
            noted.append((mutant, noticed))
            sys.stdout.write(f"{mutant.guarantee:37} {mutant.database:10} {mutant.name}\n{'':48} {text}\n")
            sys.stdout.flush()
    killed = sum(noticed for _, noticed in noted)
    sys.stdout.write(f"\n{table(noted)}\n\n")
    sys.stdout.write(f"{killed} of {len(chosen)} mutations killed in {time.monotonic() - started:.0f} s\n")
    return int(killed < len(chosen))


def table(noted: Sequence[tuple[Mutant, bool]]) -> str:
    """Return how many mutations of each guarantee were killed, by the guarantee's number; those without one last."""
    made, killed = (Counter(one.guarantee for one, noticed in noted if noticed or every) for every in (True, False))
    numbers = {name: str(number) for number, name in GUARANTEES.items()}
    others = sorted(made.keys() - numbers.keys())
    rows = [(numbers.get(name, ""), name, f"{killed[name]} of {made[name]}") for name in (*numbers, *others)]
    lines = [f"| {number:>2} | {name:37} | {count:7} |" for number, name, count in rows]
    return "\n".join(["|  # | guarantee" + " " * 29 + "| killed  |", f"|---:|{'-' * 39}|{'-' * 9}|", *lines])


if __name__ == "__main__":
    sys.exit(main())
