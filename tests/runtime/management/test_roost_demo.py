"""The demo, run as a stranger runs it. It has a SQLite database of its own, whatever the suite runs on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.processes.tree import eventually
from tests.runtime.management.demo_run import Demo

pytestmark = [pytest.mark.slow, pytest.mark.once]


@pytest.mark.scenario("L5")
def test_the_demo_shows_a_hand_over_and_proves_that_nothing_was_lost(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    assert demo.end() == 0, demo.said
    said = demo.said
    for phase in range(1, 7):
        assert f"[{phase}/6]" in said
    for text in ("kill -9", "it goes on from snapshot", "recovered", "(killed)", "verdict   reachable", "sha256"):
        assert text in said
    assert "NO " not in said
    assert "the page was asked 6 times" in said
    eventually(5, lambda: not demo.left(), "nobody left")


@pytest.mark.scenario("L5", "L37")
def test_the_demo_watches_a_page_of_ones_own(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--url", "http://127.0.0.1:9/", "--format", "json")
    assert demo.end() == 0, demo.said
    found = json.loads(demo.said)
    assert found["verdict"] == "unreachable"
    assert all(claim["holds"] for claim in found["proof"])


def test_a_url_that_is_no_url_ends_the_demo_at_once_with_one_message(tmp_path: Path) -> None:
    demo = Demo(tmp_path, "--url", "ftp://example.com/")
    assert demo.end() == 2, demo.said
    assert "url" in demo.said
    assert "Traceback" not in demo.said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_behind(tmp_path: Path, how: signal.Signals) -> None:
    demo = Demo(tmp_path)
    demo.until("worker processes")
    assert len(demo.seen) > 4
    # As a terminal does: to the whole foreground group.
    os.killpg(demo.process.pid, how)
    assert demo.end(20) != 0
    eventually(5, lambda: not demo.left(), "nobody left")


def test_a_demo_whose_workers_cannot_start_fails_and_shows_their_log(tmp_path: Path) -> None:
    # The workers alone read this setting, and refuse it.
    demo = Demo(tmp_path, environment=_broken(tmp_path))
    assert demo.end() == 1, demo.said
    assert "ROOST_WORKER_CONCURRENCY" in demo.said
    eventually(5, lambda: not demo.left(), "nobody left")


def _broken(folder: Path) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "roost_project.settings",
        "ROOST_DEMO_FOLDER": str(folder / "demo"),
        "ROOST_WORKER_CONCURRENCY": "many",
    }
