"""The database restarts under load: the living keep what they have, and nothing is lost or done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgres import PrivatePostgres
from tests.processes.fleet import Fleet, pause
from tests.processes.tree import ROOT, eventually

pytestmark = pytest.mark.slow
ITEMS, STEPS = 100, 12
ENQUEUE = f"""
from runtime.operations.enqueue_many import enqueue_many
enqueue_many([{{"engine": "hop", "payload": {{"steps": {STEPS}, "sleep": 0.4}}}} for _ in range({ITEMS // 2})])
enqueue_many([{{"engine": "write", "payload": {{"steps": {STEPS}, "sleep": 0.02}}}} for _ in range({ITEMS // 2})])
"""


@pytest.mark.scenario("L42", "F5")
def test_a_database_restarted_three_times_under_load_costs_no_item_a_step_or_a_death(tmp_path: Path) -> None:
    if os.environ.get("ROOST_TEST_DATABASE_URL", "") == "":
        pytest.skip("SQLite has no server to restart")
    with PrivatePostgres() as server:
        workers = Fleet(tmp_path, server.url, LEASE_SECONDS=4, HEARTBEAT_SECONDS=1)
        try:
            for arguments in (["migrate", "--run-syncdb", "-v0"], ["shell", "-c", ENQUEUE]):
                subprocess.run(
                    [sys.executable, "manage.py", *arguments], cwd=ROOT, env=workers.environment, check=True, timeout=60
                )
            workers.launch("runworker", "--processes", "2")
            # The second outage is longer than a lease lives: nobody renewed one, and nobody died.
            for how, outage in ((signal.SIGINT, 1.0), (signal.SIGQUIT, 4.5), (signal.SIGINT, 0.2)):
                before = _one(server, "SELECT count(*) FROM roost_event WHERE kind = 'step'")
                eventually(
                    20, lambda before=before: _one(server, "SELECT count(*) FROM roost_event") > before + 150, "a load"
                )
                server.stop(how)
                pause(outage)
                server.start()
            workers.wait(60, lambda: _one(server, "SELECT count(*) FROM roost_workitem WHERE state <> 'done'") == 0, "")
            assert _one(server, "SELECT count(*) FROM roost_event WHERE kind = 'step'") == ITEMS * STEPS
            assert _one(server, "SELECT count(DISTINCT (item, number)) FROM ledger_entry") == ITEMS * STEPS // 2
            assert _one(server, "SELECT count(*) FROM ledger_entry") == ITEMS * STEPS // 2
            assert _one(server, "SELECT count(*) FROM roost_event WHERE kind = 'recovered'") == 0
            assert _one(server, "SELECT count(*) FROM roost_lease") == 0
        finally:
            workers.stop()


def _one(server: PrivatePostgres, query: str) -> Any:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    assert row is not None
    return row[0]
