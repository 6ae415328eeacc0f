"""Run the suite on SQLite and on PostgreSQL, and merge what both tell into build/junit.xml.

    python -m tests.suite [--only sqlite|postgresql] [--label django6] [pytest arguments]

PostgreSQL is the server that ROOST_TEST_DATABASE_URL names, or a private one that ends with the run.
With a label the results go to build/junit-<label>.xml instead.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import PrivatePostgres

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
DATABASES = ("sqlite", "postgresql")
VARIABLE = "ROOST_TEST_DATABASE_URL"


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


def run(database: str, name: str, arguments: list[str]) -> int:
    """Run pytest on one database, with two processes unless the arguments say otherwise."""
    command = [sys.executable, "-m", "pytest", f"--junitxml={report(name)}", f"-ojunit_suite_name={name}"]
    command += ["-n", "2", "--dist", "worksteal", *arguments]
    sys.stdout.write(f"\n== the suite on {name}\n")
    sys.stdout.flush()
    with address(database) as url:
        environment = {**os.environ, VARIABLE: url}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


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
    """Run on every database, even after a failure; return the worst exit code."""
    # A shell that starts this in the background makes it ignore Ctrl-C, and the processes of tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", choices=DATABASES, action="append")
    parser.add_argument("--label", default="")
    known, arguments = parser.parse_known_args()
    databases = known.only or list(DATABASES)
    names = [f"{known.label}-{database}".lstrip("-") for database in databases]
    BUILD.mkdir(exist_ok=True)
    for name in names:
        report(name).unlink(missing_ok=True)
    codes = [run(database, name, arguments) for database, name in zip(databases, names, strict=True)]
    merge(names, BUILD / (f"junit-{known.label}.xml" if known.label else "junit.xml"))
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
