"""Run the suite on SQLite and beside that on PostgreSQL, and merge what both tell into build/junit.xml.

    python -m tests.suite [--only sqlite|postgresql] [--django6 PYTHON] [--label NAME] [pytest arguments]

PostgreSQL is the server that ROOST_TEST_DATABASE_URL names, or a private one that ends with the run. Before SQLite
the Python of `--django6` runs all but the slow tests, the plain ones and the matrices there, and the ones marked
`newest`, for build/junit-django6.xml: that keeps the machine busy while PostgreSQL's lane begins with tests that wait.
With a label the results go to build/junit-<label>.xml instead. Runs beside each other say in front of each line which
of them it is from; at the end stand the names of the tests that failed, with the reason in a line, and the last line of
each run.
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
UNSYNCED = "ROOST_TEST_UNSYNCED"
BESIDE = "ROOST_TEST_BESIDE"
"""Tells a run which other database the suite runs on beside it: what is marked `matrix` is run on PostgreSQL alone."""
DJANGO6 = "django6"
NEWEST = "(not slow and not plain and not matrix) or newest"
"""The tests that run there, as pytest's `-m` has it."""
# In each lane. Tests of processes wait a part of their time: two lanes of two keep two cores busy, and not much more.
TESTS_AT_ONCE = "2"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of pytest: on which database, by which Python, and under which name its results are kept."""

    name: str
    database: str
    arguments: tuple[str, ...]
    python: str = sys.executable
    beside: str = ""
    """The other database, where a run on it goes on beside this one."""

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
                return subprocess.run(self.command, cwd=ROOT, env=environment(url, self.beside), check=False).returncode
            with subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=environment(url, self.beside),
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
        with PrivatePostgres(synced=False) as server:
            yield server.url


def environment(url: str, beside: str = "") -> dict[str, str]:
    """Return the environment of a run.

    Hundreds of processes begin in one. Where no bytecode is to be written beside the sources, it is kept in build/, so
    that not each of them compiles everything. Nobody waits for the disk: see `tests.settings.database`.
    """
    given = {**os.environ, VARIABLE: url, UNSYNCED: "1", BESIDE: beside}
    if given.pop("PYTHONDONTWRITEBYTECODE", ""):
        given.setdefault("PYTHONPYCACHEPREFIX", str(BUILD / "bytecode"))
    return given


def lanes(only: list[str] | None, label: str, django6: str, arguments: list[str]) -> list[list[Run]]:
    """Return what runs after one another in each of the lanes that run beside each other."""
    found = []
    for database in only or DATABASES:
        name = f"{label}-{database}".lstrip("-")
        beside = "" if only and len(only) == 1 else next(other for other in DATABASES if other != database)
        found.append([Run(name=name, database=database, arguments=tuple(arguments), beside=beside)])
    if django6:
        quick = ("-m", NEWEST, *arguments)
        found[0].insert(0, Run(name=f"{DJANGO6}-sqlite", database="sqlite", arguments=quick, python=django6))
    return found


def play(lanes: list[list[Run]]) -> int:
    """Run every lane to its end, even after a failure; return the worst exit code."""
    runs = [run for lane in lanes for run in lane]
    if len(runs) == 1:
        return runs[0].play(None)
    teller = Teller([run.name for run in runs])
    with ThreadPoolExecutor(len(lanes)) as beside:
        codes = list(beside.map(lambda lane: max(run.play(teller.say) for run in lane), lanes))
    for run in runs:
        sys.stdout.writelines(f"{line}\n" for line in failures(run.name))
    teller.close()
    return max(codes)


def failures(name: str) -> Iterator[str]:
    """Tell in a line each which tests failed in a run, and why; nothing of a run that left no results."""
    cases = ET.parse(report(name)).getroot().iter("testcase") if report(name).exists() else ()  # noqa: S314 - as below
    for case in cases:
        for found in case:
            if found.tag in ("failure", "error"):
                told = found.get("message", "").strip().splitlines()[:1]
                # Of a file that cannot be imported the message does not say why.
                reason = (found.text or "").splitlines()[-1:] if told == ["collection failure"] else told
                yield f"FAILED on {name}: {_node(case)} - {' '.join(reason)}"


def _node(case: ET.Element) -> str:
    """Return what pytest takes to run the test again: the path, perhaps a class, the test."""
    names = [*filter(None, case.get("classname", "").split(".")), case.get("name", "")]
    file = next((number for number, name in enumerate(names, 1) if name.startswith("test_")), 0)
    return "::".join([f"{'/'.join(names[:file])}.py", *names[file:]]) if 0 < file < len(names) else ".".join(names)


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
