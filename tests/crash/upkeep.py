"""Scenarios of what has to be taken away again: ended items, checkouts, content that nobody needs."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

from runtime import artifacts, clock
from runtime.models import Artifact, Blob, Event, Snapshot, WorkItem
from runtime.operations.prune import prune
from runtime.queries import workspaces
from runtime.store import blobs
from runtime.store.blobs import read_artifact
from runtime.testing import drain
from runtime.worker.workspace_care import clean
from runtime.workspaces import places
from tests.crash.scenario import Scenario, World, item
from tests.orphans import sweep_orphans
from tests.runtime.workspaces.repositories import git, repository

FILES = {"settings.py": "DEBUG = True\n"}
EDITS = [{"path": "settings.py", "find": "True", "replace": "False"}]


class Litter(Scenario):
    """Content whose step never committed."""

    name = "litter"

    def prepare(self, world: World) -> None:
        blobs.store("default", artifacts.prepare("litter.txt", b"nobody needs this"))

    def play(self, world: World) -> bool:
        # Days later: a removal that was cut off is taken over by a sweep of another day.
        Blob.objects.update(touched_at=clock.now("default") - dt.timedelta(days=7))
        sweep_orphans("default", limit=10)
        return not Blob.objects.exists()

    def check(self, world: World) -> None:
        path = artifacts.prepare("litter.txt", b"nobody needs this").path
        assert not artifacts.storage().exists(path)


class Old(Scenario):
    """Ended items whose time is over, beside one whose time is not."""

    name = "prune"

    def prepare(self, world: World) -> None:
        for key in ("first", "second"):
            item(key, "counter", {"count_to": 2})
        drain()

    def play(self, world: World) -> bool:
        kept = item("kept", "hop", {"steps": 1})
        prune(engine="counter", older_than=0)
        return kept.state == "done" and not WorkItem.objects.filter(engine="counter").exists()

    def check(self, world: World) -> None:
        kept = WorkItem.objects.get()
        assert (kept.engine, kept.version) == ("hop", 1)
        assert not Event.objects.exclude(work_item=kept).exists()
        assert not Snapshot.objects.exclude(work_item=kept).exists()


class Checkout(Scenario):
    """A repository that is edited in a workspace, which goes when the item has ended."""

    name = "patch"
    own_process = True

    def prepare(self, world: World) -> None:
        shutil.rmtree(places.root(), ignore_errors=True)
        source = _source(world)
        if source.exists():
            git(source, "worktree", "prune", "--expire", "now")
        else:
            repository(source, FILES)

    def play(self, world: World) -> bool:
        found = item("patch", "patch", {"source": str(_source(world)), "edits": EDITS})
        if found.state == "done":
            clean([one for one in workspaces.kept().rows if one.over], "default")
        return found.state == "done" and not workspaces.kept().rows

    def check(self, world: World) -> None:
        found, file = WorkItem.objects.get(), Artifact.objects.get()
        assert (found.result["insertions"], found.result["deletions"]) == (1, 1)
        assert (file.sha256, file.name) == (found.result["patch"], "change.patch")
        assert b"+DEBUG = False" in read_artifact(file)
        assert not places.place("default", found.pk).path.exists()


def _source(world: World) -> Path:
    return Path(world.folder) / "source"


UPKEEP = (Litter(), Old(), Checkout())
