"""States that lie in the artifact storage survive whoever is killed, wherever, and what nobody needs is swept."""

from __future__ import annotations

import datetime as dt
import uuid
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages

from runtime import clock, faults, offload
from runtime.models import Blob, Offloaded, Snapshot, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries import verify
from runtime.store import blobs
from tests.ledger.models import Entry
from tests.orphans import sweep_orphans
from tests.processes.assertions import assert_each_step_once, assert_nothing_left_over
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in, kill_holder
from tests.runtime.places import contents

pytestmark = pytest.mark.slow

LEAST = offload.LEAST
TEXT = "-" * (LEAST + 100)
STEPS = 4
DAY = dt.timedelta(days=1, seconds=1)


@pytest.fixture(autouse=True)
def folder(settings: Any, tmp_path: Path) -> None:
    """Let artifacts live in a folder of the test's own, and large values beside them."""
    place = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path / "artifacts")},
    }
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": place}
    settings.ROOST_OFFLOAD_BYTES = LEAST


def ended(item: uuid.UUID) -> None:
    """Make sure that the item has the result of an undisturbed run, and each of its states."""
    text = TEXT
    for number in range(1, STEPS + 1):
        text = f"{text[2:]}{number:02}"
    row = WorkItem.objects.get(pk=item)
    assert offload.in_value(row.result) is not None
    assert offload.whole(row.result) == {"n": STEPS, "text": text}
    for kept in Snapshot.objects.filter(work_item=item):
        assert offload.whole(kept.data)["n"] == min(kept.version, STEPS - 1)


def swept_clean() -> None:
    """Sweep days later, and make sure that what is left is exactly what is referred to.

    A process that was killed while it wrote has left a draft, or content that no row knows.
    """
    with clock.shifted(DAY):
        blobs.adopt_strays("default", limit=1000)
    with clock.shifted(3 * DAY):
        sweep_orphans("default", limit=1000)
    needed = set(Offloaded.objects.values_list("blob", flat=True))
    assert {Path(name).name for name in contents(storages["roost_artifacts"])} == needed
    assert set(Blob.objects.values_list("pk", flat=True)) == needed


@pytest.mark.scenario("L5")
@pytest.mark.parametrize("engine", ["hoplarge", "writelarge"])
@pytest.mark.parametrize("point", ["artifact.before", "artifact.after", "commit.before", "commit.after"])
@pytest.mark.parametrize("nth", [1, 3])
def test_wherever_a_worker_is_killed_each_large_state_is_made_once(
    fleet: StartFleet, tmp_path: Path, engine: str, point: str, nth: int
) -> None:
    died = tmp_path / "died"
    workers = fleet(OFFLOAD_BYTES=LEAST)
    workers.environment[faults.VARIABLE] = f"{point}:kill:{nth}:{died}"
    item = enqueue(engine, {"steps": STEPS, "text": TEXT}).pk
    workers.start("--processes", "1")
    workers.wait(30, all_in("done", pk=item), "the end")
    assert died.exists(), f"the run never went past {point} for the {nth}. time"
    assert_each_step_once([item], STEPS, rows=engine == "writelarge")
    ended(item)
    assert_nothing_left_over()
    assert list(verify.everything()) == []
    swept_clean()
    ended(item)


def _is_at(item: uuid.UUID, version: int) -> bool:
    return WorkItem.objects.get(pk=item).version >= version


@pytest.mark.scenario("S14")
def test_with_and_without_a_policy_large_states_are_resumed_by_whoever_is_left(fleet: StartFleet) -> None:
    workers = fleet(OFFLOAD_BYTES=LEAST)
    workers.start("--processes", "2")
    items = [
        enqueue(engine, {"steps": STEPS, "text": TEXT, "delay": 0.3}).pk
        for engine in ("hoplarge", "hoplargecompact", "writelarge")
    ]
    for item in items:
        workers.wait(20, partial(_is_at, item, 1), "a step")
    for item in items:
        # Its holder may have been killed just now, for the item before; or the item may have ended.
        with suppress(ProcessLookupError, AssertionError):
            kill_holder(item)
    workers.wait(40, all_in("done"), "the end of all of them")
    for item in items:
        ended(item)
    assert Offloaded.objects.filter(work_item=items[1], place="state").count() == 1
    assert Entry.objects.filter(item=items[2]).count() == STEPS
    assert list(verify.everything()) == []
    swept_clean()
    for item in items:
        ended(item)
