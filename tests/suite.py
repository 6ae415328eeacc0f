"""Run the suite on SQLite and beside that on PostgreSQL, and merge what both tell into build/junit.xml.

    python -m tests.suite [--only sqlite|postgresql] [--django6 PYTHON] [--label NAME] [pytest arguments]

PostgreSQL is the server that ROOST_TEST_DATABASE_URL names, or a private one that ends with the run. After SQLite the
Python of `--django6` runs all but the slow tests there, for build/junit-django6.xml. With a label the results go to
build/junit-<label>.xml instead. Runs beside each other say in front of each line which of them it is from, and the
last lines of all of them stand at the end.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.postgres import PrivatePostgres

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
DATABASES = ("sqlite", "postgresql")
VARIABLE = "ROOST_TEST_DATABASE_URL"
DJANGO6 = "django6"
# In each lane. Tests of processes wait a part of their time: two lanes of two keep two cores busy, and not much more.
TESTS_AT_ONCE = "2"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of pytest: on which database, by which Python, and under which name its results are kept."""

    name: str
    database: str
    arguments: tuple[str, ...]
    python: str = sys.executable

    @property
    def command(self) -> list[str]:
        """What is run: several tests at once, unless the arguments say otherwise."""
        results = (f"--junitxml={report(self.name)}", f"-ojunit_suite_name={self.name}")
        return [
            *(self.python, "-m", "pytest", *results),
            *("-n", TESTS_AT_ONCE, "--dist", "worksteal", *self.arguments),
        ]

    def play(self, say: Callable[[str, str], None] | None) -> int:
        """Run, tell each line if somebody wants to hear it, and return pytest's exit code."""
        with address(self.database) as url:
            if say is None:
                return subprocess.run(self.command, cwd=ROOT, env=environment(url), check=False).returncode
            with subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=environment(url),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as running:
                for line in running.stdout or ():
                    say(self.name, line.rstrip("\n"))
                return running.wait()


class Teller:
    """Prints the lines of several runs as they come, and keeps the last one of each."""

    def __init__(self, names: list[str]) -> None:
        self.last: dict[str, str] = {}
        self._width = max(map(len, names))
        self._guard = threading.Lock()

    def say(self, name: str, line: str) -> None:
        """Print a line of this run."""
        with self._guard:
            self.last[name] = line if line.strip() else self.last.get(name, "")
            sys.stdout.write(f"{name:{self._width}} | {line}\n")
            sys.stdout.flush()

    def close(self) -> None:
        """Print what each run said last: how many tests passed, and how long they took."""
        for name, line in self.last.items():
            sys.stdout.write(f"\n== the suite on {name}\n{line}\n")


@contextmanager
def address(database: str) -> Iterator[str]:
    """Give the address of a database to test on; the empty one is SQLite's."""
    given = os.environ.get(VARIABLE, "")
    if database == "sqlite":
        yield ""
    elif given:
        yield given
    else:
        with PrivatePostgres() as server:
            yield server.url


def environment(url: str) -> dict[str, str]:
    """Return the environment of a run.

    Hundreds of processes begin in one. Where no bytecode is to be written beside the sources, it is kept in build/, so
    that not each of them compiles everything.
    """
    given = {**os.environ, VARIABLE: url}
    if given.pop("PYTHONDONTWRITEBYTECODE", ""):
        given.setdefault("PYTHONPYCACHEPREFIX", str(BUILD / "bytecode"))
    return given


def lanes(only: list[str] | None, label: str, django6: str, arguments: list[str]) -> list[list[Run]]:
    """Return what runs after one another in each of the lanes that run beside each other."""
    found = []
    for database in only or DATABASES:
        name = f"{label}-{database}".lstrip("-")
        found.append([Run(name=name, database=database, arguments=tuple(arguments))])
    if django6:
        quick = ("-m", "not slow", *arguments)
        found[0].append(Run(name=f"{DJANGO6}-sqlite", database="sqlite", arguments=quick, python=django6))
    return found


def play(lanes: list[list[Run]]) -> int:
    """Run every lane to its end, even after a failure; return the worst exit code."""
    runs = [run for lane in lanes for run in lane]
    if len(runs) == 1:
        return runs[0].play(None)
    teller = Teller([run.name for run in runs])
    with ThreadPoolExecutor(len(lanes)) as beside:
        codes = list(beside.map(lambda lane: max(run.play(teller.say) for run in lane), lanes))
    teller.close()
    return max(codes)


def report(name: str) -> Path:
    """Name the file in which one run's results stand."""
    return BUILD / f"junit-{name}.xml"


def merge(names: list[str], target: Path) -> None:
    """Put the runs' results into one file, one test suite each."""
    suites = ET.Element("testsuites")
    for name in names:
        if report(name).exists():
            suites.extend(ET.parse(report(name)).getroot())  # noqa: S314 - pytest wrote it a moment ago
    ET.ElementTree(suites).write(target, encoding="utf-8", xml_declaration=True)


def main() -> int:
    """Run on every database and return the worst exit code."""
    # A shell that starts this in the background makes it ignore Ctrl-C, and the processes of tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", choices=DATABASES, action="append")
    parser.add_argument("--label", default="")
    parser.add_argument("--django6", metavar="PYTHON", default="")
    known, arguments = parser.parse_known_args()
    planned = lanes(known.only, known.label, known.django6, arguments)
    BUILD.mkdir(exist_ok=True)
    names = [run.name for lane in planned for run in lane]
    for name in names:
        report(name).unlink(missing_ok=True)
    code = play(planned)
    newest = {name for name in names if name.startswith(DJANGO6) and not known.label}
    merge([name for name in names if name not in newest], BUILD / f"junit{known.label and '-'}{known.label}.xml")
    if newest:
        merge(sorted(newest), BUILD / f"junit-{DJANGO6}.xml")
    return code


if __name__ == "__main__":
    sys.exit(main())
