"""A dry replay changes no database, also none but the work database, and no workspace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.operations.enqueue import enqueue
from runtime.testing import drain
from runtime.worker.replay.dry import replay
from runtime.workspaces import places
from tests.runtime.worker.calling import STEPS, read
from tests.runtime.worker.replaying import LANES, again, ran
from tests.runtime.workspaces.repositories import repository

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("calling"), pytest.mark.scenario("S11")]

READ = "SELECT count(*) FROM things"
WRITE = "INSERT INTO things VALUES (1)"


@pytest.fixture
def elsewhere(db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the project a second database, with one table."""

    def connect(self: Any) -> None:
        if self.connection is None:
            self.connect()

    # Django's TestCase refuses whatever database the test did not have when it began.
    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", connect)
    given = {**connections.databases["default"], "ENGINE": "django.db.backends.sqlite3", "OPTIONS": {}}
    connections.databases["elsewhere"] = {**given, "NAME": str(tmp_path / "elsewhere.sqlite3")}
    try:
        run("CREATE TABLE things (number integer)")
        yield "elsewhere"
    finally:
        connections["elsewhere"].close()
        del connections["elsewhere"]
        del connections.databases["elsewhere"]


@pytest.fixture
def workspaces(settings: Any, tmp_path: Path) -> str:
    """Give the workspaces a folder, and return a repository."""
    settings.ROOST_WORKSPACES_ROOT = str(tmp_path / "workspaces")
    module = "tests.runtime.workspaces.engines"
    names = {"writing": "Writing", "awriting": "AsyncWriting", "looking": "Looking"}
    settings.ROOST_ENGINES = {name: f"{module}.{engine}" for name, engine in names.items()}
    return str(repository(tmp_path / "source"))


def run(sql: str) -> int:
    """Run a statement on the second database and return the number that it answers with."""
    with connections["elsewhere"].cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0]) if sql == READ else 0


def in_transaction(sql: str) -> int:
    """Do what `run()` does in a transaction."""
    with transaction.atomic("elsewhere"):
        return run(sql)


def in_lane(lane: str, work: Any, *arguments: Any) -> Any:
    """Return a step that does this."""

    async def step(ctx: Any) -> Any:
        return await sync_to_async(work)(*arguments)

    return step if lane == "async" else lambda ctx: work(*arguments)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("how", [run, in_transaction])
def test_a_write_to_another_database_is_refused_and_a_read_is_not(lane: str, how: Any) -> None:
    item = ran(lane, lambda ctx: 0)
    STEPS["it"] = in_lane(lane, how, READ)
    assert again(item).same
    STEPS["it"] = in_lane(lane, how, WRITE)
    found = again(item).divergence
    assert found is not None
    assert (found.version, found.kind) == (1, "write")
    assert "'elsewhere'" in found.text
    assert run(READ) == 0


@pytest.mark.usefixtures("elsewhere")
def test_a_connection_that_an_earlier_step_has_left_open_in_a_thread_is_watched_too() -> None:
    item = ran("async", lambda ctx: 0, steps=2)
    with ThreadPoolExecutor(1) as pool:

        def in_pool(ctx: Any) -> int:
            sql = WRITE if ctx._run.version else READ
            return pool.submit(copy_context().run, run, sql).result()

        def close() -> None:
            connections["elsewhere"].close()

        STEPS["it"] = in_pool
        found = again(item).divergence
        pool.submit(close).result()
    assert found is not None
    assert (found.version, found.kind) == (2, "write")
    assert run(READ) == 0


@pytest.mark.parametrize("lane", ["writing", "awriting"])
def test_a_replay_works_in_a_folder_of_its_own_and_leaves_the_workspace_as_it_is(lane: str, workspaces: str) -> None:
    item = enqueue(lane, {"source": workspaces, "steps": 2})
    drain(skip_delays=True)
    path = places.place("default", item.pk).path
    found = replay(read(item)).divergence
    assert (path / "lines.txt").read_text() == "1\n2\n"
    assert found is not None
    # The path is as recorded; what the step reads for itself is not there.
    assert (found.path, found.recorded, found.produced) == ("/1", "1\n2\n", "2\n")


def test_what_a_step_makes_of_the_path_is_as_recorded(workspaces: str) -> None:
    item = enqueue("looking", {"source": workspaces})
    drain(skip_delays=True)
    shutil.rmtree(places.place("default", item.pk).path)
    assert replay(read(item)).divergence is None


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "x").write_text("x"),
        lambda root: (root / "x").mkdir(),
        lambda root: (root / "x").unlink(),
        lambda root: (root.parent / "x").rename(root / "x"),
    ],
)
def test_a_step_that_knows_the_path_of_a_workspace_from_elsewhere_cannot_change_it(lane: str, change: Any) -> None:
    item = ran(lane, lambda ctx: 1)
    STEPS["it"] = lambda ctx: change(places.root())
    found = again(item).divergence
    assert found is not None
    assert (found.version, found.kind) == (1, "write")
    assert "changes a workspace" in found.text
