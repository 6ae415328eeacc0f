"""The soak in short; and that it would see what it looks for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from tests.processes.tree import ROOT
from tests.soak import __main__ as soak
from tests.soak.faults import NIGHTLY, STORAGE, Pace, plan
from tests.soak.load import Load
from tests.soak.meters import times
from tests.soak.run import PATIENCE, WAVE
from tests.soak.storage import AWAY, FULL, FailingStorage, mark_of

SHORT = ["--minutes", "0.1", "--restart", "5", "--stop", "4", "--cut", "3"]
SEEDS = ("11", "12", "13")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.scenario("L5", "L42", "B1", "B17", "F5", "F6", "F10")
def test_a_short_soak_loses_doubles_and_strands_nothing(tmp_path: Path) -> None:
    if os.environ.get("ROOST_TEST_DATABASE_URL", "") == "":
        pytest.skip("SQLite has no server to restart")
    # On a busy machine the few that are killed in these seconds may all have been about to begin.
    assert any(_items_were_held(tmp_path / f"{seed}.json", seed) for seed in SEEDS), "nobody held anything"


def _items_were_held(file: Path, seed: str) -> bool:
    """Play a short soak, assert that nothing is wrong with it, and say whether a process died that held something."""
    command = [sys.executable, "-m", "tests.soak", *SHORT, "--seed", seed, "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert file.exists(), done.stdout + done.stderr
    came = json.loads(file.read_text())
    assert came["wrong"] == [], done.stdout
    assert done.returncode == bool(came["slow"])
    planned = Counter(one.kind for one in plan(came["seed"], came["seconds"], Pace(restart=5, stop=4, cut=3)))
    met = {"kill": came["kills"], "restart": came["outages"], "stop": came["stops"], "cut": came["cuts"]}
    assert sum(met.values()) + came["missed"] == planned.total(), "a fault of the plan was left out"
    assert all(met[kind] <= planned[kind] for kind in planned)
    assert (came["outages"], came["kills"] > 0) == (planned["restart"], True)
    assert came["accepted"] >= WAVE
    assert came["items"] > came["accepted"], "the schedule has fired, and parents have had children"
    assert came["steps"] > came["items"]
    assert came["drained"] < PATIENCE
    return bool(came["recovery"]["killed"]["count"] + came["recovery"]["restart"]["count"])


def test_the_same_seed_makes_the_same_faults_and_the_same_load() -> None:
    assert plan(7, 600, Pace()) == plan(7, 600, Pace()) != plan(8, 600, Pace())
    assert [one.how for one in plan(7, 600, Pace()) if one.kind == "restart"] == ["immediate", "fast"] * 5
    one, other = Load(7, "http://127.0.0.1:1"), Load(7, "http://127.0.0.1:1")
    assert [one._piece() for _ in range(50)] == [other._piece() for _ in range(50)]


def test_percentiles_are_times_that_were_measured() -> None:
    assert (times([]).count, times([3.0]).p95) == (0, 3.0)
    found = times(range(1, 101))
    assert (found.p50, found.p95, found.most) == (50, 95, 100)


def test_the_nightly_plan_is_the_usual_one_with_failures_of_the_storage_besides() -> None:
    usual, nightly = plan(7, 60, Pace()), plan(7, 60, Pace(storage=NIGHTLY.storage))
    assert [one for one in nightly if one.kind != STORAGE] == usual
    assert [one.how for one in nightly if one.kind == STORAGE] == [AWAY, FULL, AWAY, FULL]


def test_the_nightly_form_says_what_it_needs_and_does_not_pass_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["soak", "--nightly"])
    monkeypatch.setattr("tests.soak.pooler.PROGRAM", "no-such-pooler")
    assert soak.main() == soak.NOT_POSSIBLE
    told = capsys.readouterr()
    assert (told.out, "apt-get install pgbouncer" in told.err) == ("", True)


def test_the_storage_of_the_soak_fails_while_it_is_told_to(tmp_path: Path) -> None:
    storage = FailingStorage(location=tmp_path / "artifacts")
    mark_of(tmp_path / "artifacts").write_text(AWAY)
    with pytest.raises(ConnectionError):
        storage.save("a", ContentFile(b"whole"))
    mark_of(tmp_path / "artifacts").write_text(FULL)
    with pytest.raises(OSError, match="No space left"):
        storage.save("a", ContentFile(b"whole"))
    assert storage.size("a") == 2, "a full disk keeps a part"
    mark_of(tmp_path / "artifacts").unlink()
    storage.save("b", ContentFile(b"whole"))
    with storage.open("b") as kept:
        assert kept.read() == b"whole"
