"""A dump of a database at which workers are at work is a backup: what is restored goes on, and nothing is torn."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from django.db import connection

from runtime.models import Event
from runtime.operations.enqueue import enqueue
from tests.postgres import BINARIES, PACKAGE
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite is backed up by its own means"),
]
STEPS = 20
NOT_ENDED = "SELECT id FROM roost_workitem WHERE state <> 'done'"
ENDED = "SELECT id, state, version FROM roost_workitem"
WRITTEN = """
SELECT item, count(DISTINCT number), min(number), max(number) FROM ledger_entry
GROUP BY item HAVING count(*) = count(DISTINCT number)
"""


def program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs: beside the server that the suite brings, or the machine's."""
    found = find_spec(PACKAGE)
    beside = Path(str(found.origin)).parent / BINARIES / "bin" / name if found and found.origin else Path(name)
    path = str(beside) if beside.exists() else shutil.which(name)
    assert path is not None
    return path


def libpq(database: str) -> dict[str, str]:
    """Return the environment in which PostgreSQL's programs reach a database of the test's server."""
    values = connection.settings_dict
    given = {"PGDATABASE": database, "PGUSER": "USER", "PGPASSWORD": "PASSWORD", "PGHOST": "HOST", "PGPORT": "PORT"}
    own = {name: str(values[key]) for name, key in given.items() if values.get(key)}
    return {**os.environ, **own, "PGDATABASE": database}


@pytest.fixture
def restored(transactional_db: None) -> Iterator[str]:
    """Make an empty database beside the test's own; give its name."""
    name = f"roost_restored_{os.getpid()}"
    with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield name
    finally:
        with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def run(command: list[str], database: str) -> None:
    """Run one of PostgreSQL's programs."""
    done = subprocess.run(command, env=libpq(database), check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def address(name: str) -> str:
    """Return the address of a database of the test's server."""
    values = connection.settings_dict
    given = {key.lower(): values[key] for key in ("USER", "PASSWORD", "HOST", "PORT") if values[key]}
    return f"postgresql:///{name}?{urlencode(given)}"


def rows(database: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask a database of the test's server."""
    with psycopg.connect(address(database)) as other:
        return other.execute(sql).fetchall()


def manage(fleet: Fleet, *arguments: str) -> None:
    """Run a command to its good end."""
    assert fleet.launch(*arguments).wait(timeout=60) == 0, fleet.log.read_text()[-4000:]


@pytest.mark.timeout(240)
def test_a_dump_taken_while_workers_run_is_restored_to_work_that_goes_on(
    fleet: StartFleet, restored: str, tmp_path: Path
) -> None:
    workers = fleet()
    workers.start("--processes", "2")
    hops = [enqueue("hop", {"steps": STEPS, "sleep": 0.1}).pk for _ in range(10)]
    writes = [enqueue("write", {"steps": STEPS, "sleep": 0.01}).pk for _ in range(4)]
    workers.wait(30, lambda: Event.objects.filter(kind="step").count() > 30, "work that is going on")
    dump = str(tmp_path / "roost.dump")
    run([program("pg_dump"), "--format=custom", f"--file={dump}"], str(connection.settings_dict["NAME"]))
    workers.stop()
    run([program("pg_restore"), "--no-owner", "--exit-on-error", f"--dbname={restored}", dump], restored)
    # It was taken in the middle of it.
    assert rows(restored, "SELECT 1 FROM roost_lease") != []
    assert rows(restored, NOT_ENDED) != []
    elsewhere = Fleet(tmp_path, address(restored))
    manage(elsewhere, "roost", "verify", "--all")
    worker = elsewhere.launch("runworker")
    elsewhere.wait(60, lambda: rows(restored, NOT_ENDED) == [], "the end of what was restored")
    elsewhere.stop()
    assert worker.returncode == 0
    manage(elsewhere, "roost", "verify", "--all")
    ended = {pk: (state, version) for pk, state, version in rows(restored, ENDED)}
    assert ended == dict.fromkeys([*hops, *writes], ("done", STEPS))
    assert {(count, least, most) for _, count, least, most in rows(restored, WRITTEN)} == {(STEPS, 1, STEPS)}
