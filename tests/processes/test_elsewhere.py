"""A failed run is taken to an empty project, and its dry replay there stops at the same error."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from runtime.models import WorkItem
from runtime.operations.approve import approve
from runtime.operations.enqueue import enqueue
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet, all_in, database_url
from tests.processes.service import serving
from tests.processes.tree import ROOT

pytestmark = pytest.mark.slow

ON_SQLITE = "sqlite" in settings.DATABASES["default"]["ENGINE"]
NAME = "roost_elsewhere"
Manage = Callable[..., subprocess.CompletedProcess[str]]


def project(workers: Fleet, url: str, folder: Path) -> Manage:
    """Return what runs `manage.py` in a project on this database, with files of its own."""
    artifacts = {"ROOST_PROCESS_ARTIFACTS": str(folder / "artifacts")} if url != database_url() else {}
    environment = {**workers.environment, "ROOST_PROCESS_DATABASE_URL": url, **artifacts}

    def manage(*arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "manage.py", *map(str, arguments)]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False
        )

    return manage


@pytest.fixture(params=["sqlite"] if ON_SQLITE else ["sqlite", "postgresql"])
def elsewhere(request: pytest.FixtureRequest, fleet: StartFleet, tmp_path: Path) -> Iterator[Manage]:
    """Return an empty project, on SQLite, and on PostgreSQL if the tests have that."""
    url = f"sqlite:///{tmp_path}/elsewhere.sqlite3"
    if request.param == "postgresql":
        url = database_url().replace(f"/{connection.settings_dict['NAME']}", f"/{NAME}")
        _admin(f"CREATE DATABASE {NAME}")
    manage = project(fleet(), url, tmp_path)
    try:
        assert manage("migrate", "--verbosity", "0").returncode == 0
        yield manage
    finally:
        if request.param == "postgresql":
            _admin(f"DROP DATABASE {NAME} WITH (FORCE)")


def _admin(statement: str) -> None:
    with psycopg.connect(database_url(), autocommit=True) as session:
        session.execute(statement)


@pytest.mark.scenario("S11")
def test_an_export_of_a_failed_run_imports_into_an_empty_project_and_its_replay_stops_at_the_same_error(
    fleet: StartFleet, elsewhere: Manage, tmp_path: Path
) -> None:
    workers = fleet()
    with serving() as service:
        service.refused["/payments"] = 422
        item = enqueue("refund", {"service": service.url, "order": "A-7", "amount": 120})
        workers.start()
        workers.wait(20, all_in("waiting"), "the question")
        approve(item.pk, actor="ann")
        workers.wait(20, all_in("failed"), "the end")
        workers.stop()
    here = project(workers, database_url(), tmp_path)
    exported = here("roost", "export", item.pk)
    assert exported.returncode == 0, exported.stderr
    file = tmp_path / "run.json"
    file.write_text(exported.stdout)
    imported = elsewhere("roost", "import", file, "--namespace", "support")
    assert imported.returncode == 0, imported.stderr
    replayed = elsewhere("roost", "replay", imported.stdout.strip(), "--format", "json")
    assert replayed.returncode == 0, replayed.stderr
    found = json.loads(replayed.stdout)
    assert (found["same"], found["steps"], found["notes"]) == (True, 2, [])
    error = WorkItem.objects.get(pk=item.pk).last_error
    assert found["stopped"] == {name: error[name] for name in ("type", "code", "category", "message")}
    assert "http_422" in found["stopped"]["code"]
    told = elsewhere("roost", "replay", imported.stdout.strip())
    assert "It stops at the same error: CallFailed" in told.stdout
    # The service is gone, and nothing was paid a second time.
    assert [service.requests[path] for path in ("/ratings", "/payments")] == [1, 1]
