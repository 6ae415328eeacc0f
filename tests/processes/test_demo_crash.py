"""`roost demo --crash` on the database of the test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.processes.conftest import StartFleet
from tests.processes.tree import eventually
from tests.runtime.management.demo_run import Demo

pytestmark = pytest.mark.slow


@pytest.mark.scenario("L5", "L39")
def test_crash_kills_busy_and_idle_workers_and_finds_nothing_lost_or_doubled(fleet: StartFleet, tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--crash", "3", "--format", "json", environment=fleet().environment)
    assert demo.end() == 0, demo.said
    found = json.loads(demo.said)
    assert (found["items"], found["lost"], found["doubled"], found["problems"]) == (6, 0, 0, [])
    for kind in ("busy", "idle"):
        assert found["recovery_seconds"][kind]["rounds"] == 3
        assert 0 < found["recovery_seconds"][kind]["p95"] <= 2
    eventually(5, lambda: not demo.left(), "nobody left")
