"""The soak in short; and that it would see what it looks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.operations.schedules import set_schedule
from tests.factories import WorkItemFactory
from tests.ledger.models import Entry
from tests.processes.service import Service
from tests.processes.tree import ROOT
from tests.soak.faults import Pace, plan
from tests.soak.judge import judge
from tests.soak.load import SCHEDULE, Load, Piece
from tests.soak.meters import times

SHORT = ["--minutes", "0.1", "--seed", "11", "--restart", "5", "--stop", "4", "--cut", "3"]


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.scenario("L5", "L42", "B1", "B17")
def test_a_short_soak_loses_doubles_and_strands_nothing(tmp_path: Path) -> None:
    if os.environ.get("ROOST_TEST_DATABASE_URL", "") == "":
        pytest.skip("SQLite has no server to restart")
    file = tmp_path / "soak.json"
    command = [sys.executable, "-m", "tests.soak", *SHORT, "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert file.exists(), done.stdout + done.stderr
    came = json.loads(file.read_text())
    assert came["wrong"] == [], done.stdout
    assert came["kills"] >= 1
    assert came["outages"] == 1
    assert came["accepted"] > 0


def test_the_same_seed_makes_the_same_faults_and_the_same_load() -> None:
    assert plan(7, 600, Pace()) == plan(7, 600, Pace()) != plan(8, 600, Pace())
    assert [one.how for one in plan(7, 600, Pace()) if one.kind == "restart"] == ["immediate", "fast"] * 5
    one, other = Load(7, "http://127.0.0.1:1"), Load(7, "http://127.0.0.1:1")
    assert [one._piece() for _ in range(50)] == [other._piece() for _ in range(50)]


@pytest.mark.django_db
def test_what_is_lost_doubled_or_stuck_is_seen() -> None:
    set_schedule(SCHEDULE, engine="hop", payload={"steps": 2}, every=1)
    gone = Piece(key="counter-1", kind="counter", engine="counter", payload={"count_to": 3})
    twice = Piece(key="write-2", kind="write", engine="write", payload={"steps": 1})
    waits = Piece(key="counter-3", kind="counter", engine="counter", payload={"count_to": 3})
    values = {"engine": "write", "payload": {"steps": 1}, "result": {"n": 1}}
    done = WorkItemFactory(done=True, idempotency_key="write-2", **values)
    for _ in range(2):
        Entry.objects.create(item=done.pk, number=1, pid=1)
    WorkItemFactory(idempotency_key="counter-3")
    service = Service()
    try:
        wrong = judge([gone, twice, waits], service)
    finally:
        service.server_close()
    told = {(one.what, one.text.split()[0]) for one in wrong}
    assert {("lost", "counter-1"), ("doubled", "write"), ("stuck", "counter")} <= told


def test_percentiles_are_times_that_were_measured() -> None:
    assert (times([]).count, times([3.0]).p95) == (0, 3.0)
    found = times(range(1, 101))
    assert (found.p50, found.p95, found.most) == (50, 95, 100)
