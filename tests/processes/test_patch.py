"""A worker of the engine `patch` is killed between and within steps: the patch is the one of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import faults
from runtime.models import Artifact, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries import verify
from runtime.store.blobs import read_artifact
from runtime.workspaces import places
from tests.engines.test_patch import EDITS, FILES
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in
from tests.processes.tree import eventually
from tests.runtime.workspaces.repositories import git, repository

pytestmark = pytest.mark.slow

# The base, three edits and the patch are five calls; each is a begin and an end in the journal.
POINTS = [
    *(("workspace.before", 1), ("workspace.after", 1), ("artifact.before", 1), ("artifact.after", 1)),
    *((f"call.{side}", nth) for side in faults.SIDES for nth in (1, 2, 3, 5)),
    *((f"commit.{side}", nth) for side in faults.SIDES for nth in (1, 2, 3)),
    *(("journal.after", 2), ("journal.after", 4), ("journal.before", 10)),
]
# A clone differs from a work tree in how it is made; what comes after that is the same.
OF_MODES = {"worktree": POINTS, "clone": [*POINTS[:4], ("call.after", 1), ("commit.after", 1), ("commit.before", 3)]}


def patch_of(item: WorkItem) -> bytes:
    return read_artifact(Artifact.objects.get(work_item=item.pk, name="change.patch"))


@pytest.mark.timeout(240)
@pytest.mark.scenario("L16", "B23")
@pytest.mark.parametrize("mode", OF_MODES)
def test_a_patch_is_the_same_wherever_its_worker_was_killed(fleet: StartFleet, tmp_path: Path, mode: str) -> None:
    source = repository(tmp_path / "source", FILES)
    payload = {"source": str(source), "mode": mode, "edits": EDITS}
    root = tmp_path / "workspaces"
    items, died = [], []
    for number, (point, nth) in enumerate([("", 0), *OF_MODES[mode]]):
        item = enqueue("patch", payload)
        workers = fleet()
        workers.environment["ROOST_WORKSPACES_ROOT"] = str(root)
        if point:
            died.append(tmp_path / f"died-{number}")
            workers.environment[faults.VARIABLE] = f"{point}:kill:{nth}:{died[-1]}"
        workers.start("--processes", "1", "--engines", "patch")
        workers.wait(40, all_in("done", pk=item.pk), f"the end after {point} {nth}")
        # After its last commit the item is done, and its worker may have a moment yet.
        if point:
            eventually(40, died[-1].exists, f"the end of a worker at {point} for the {nth}. time")
        workers.stop()
        items.append(item)
    undisturbed, *others = items
    for item in others:
        assert patch_of(item) == patch_of(undisturbed)
        item.refresh_from_db()
        undisturbed.refresh_from_db()
        assert item.result == undisturbed.result
    git(source, "worktree", "prune", "--expire", "now")
    assert len(git(source, "worktree", "list").splitlines()) == (1 + len(items) if mode == "worktree" else 1)
    assert list((root / places.HOUSE / "making").iterdir()) == []
    assert list(verify.everything()) == []
