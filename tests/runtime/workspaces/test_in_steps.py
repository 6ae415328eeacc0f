"""Steps find their item's workspace again, and what has outstayed its item is removed, and nothing else."""

from __future__ import annotations

import datetime as dt
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest

from runtime.choices import State
from runtime.exceptions import RoostError
from runtime.models import WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.hold import hold, unhold
from runtime.operations.requeue import requeue
from runtime.queries import workspaces
from runtime.queries.workspaces import GONE, is_over
from runtime.testing import RecordingContext, drain, run_step
from runtime.worker import workspace_care
from runtime.worker.workspace_care import WorkspaceCare
from runtime.workspaces import Workspace, places
from runtime.workspaces.making import enter
from tests.factories import WorkItemFactory
from tests.runtime.management.cli import document, run
from tests.runtime.worker.calling import work
from tests.runtime.workspaces.engines import Writing
from tests.runtime.workspaces.repositories import repository

pytestmark = pytest.mark.django_db
LANES = ("writing", "awriting")


@pytest.fixture(autouse=True)
def source(settings: Any, tmp_path: Path) -> str:
    """Return a repository, and give the workspaces a folder."""
    settings.ROOST_WORKSPACES_ROOT = str(tmp_path / "workspaces")
    module = "tests.runtime.workspaces.engines"
    settings.ROOST_ENGINES = {"writing": f"{module}.Writing", "awriting": f"{module}.AsyncWriting"}
    return str(repository(tmp_path / "source"))


def put(source: str, lane: str = "writing", **payload: Any) -> WorkItem:
    """Enqueue an item that works in a workspace."""
    return enqueue(lane, {"source": source, "steps": 2, **payload})


def read(item: WorkItem) -> WorkItem:
    """Read the item as it is now."""
    return WorkItem.objects.get(pk=item.pk)


@pytest.mark.parametrize("lane", LANES)
def test_every_step_of_an_item_works_at_the_same_path(source: str, lane: str) -> None:
    item, other = put(source, lane), put(source, lane, steps=3)
    drain(skip_delays=True)
    path = places.place("default", item.pk).path
    assert read(item).result == [str(path), "1\n2\n"]
    assert read(other).result[1] == "1\n2\n3\n"


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.django_db(transaction=True)
def test_a_worker_lets_go_of_a_workspace_after_each_step(source: str, lane: str) -> None:
    item = put(source, lane, delay=0)
    work()
    assert read(item).result[1] == "1\n2\n"
    place = places.place("default", item.pk)
    enter(Workspace(source=source), place, epoch=99, home="", patience=0).close()


def test_a_fork_gets_a_workspace_of_its_own_from_the_ref_and_a_follow_up_keeps_the_old_one(source: str) -> None:
    item = put(source)
    drain(skip_delays=True)
    made = fork(item.pk, version=1)
    follow_up(item.pk)
    drain(skip_delays=True)
    assert read(made).result == [str(places.place("default", made.pk).path), "2\n"]
    assert read(item).result[1] == "1\n2\n3\n"


@pytest.mark.scenario("B20")
def test_an_item_that_is_brought_back_does_not_go_on_in_a_workspace_that_is_gone(source: str) -> None:
    item = put(source, steps=3, delay=60)
    drain(max_steps=1)
    cancel(item.pk)
    path = places.place("default", item.pk).path
    shutil.rmtree(path)
    requeue(item.pk)
    drain(skip_delays=True)
    assert (read(item).state, read(item).result) == (State.DONE, [str(path), "2\n3\n"])


def test_what_cannot_be_made_fails_the_item_or_is_tried_again(source: str, settings: Any) -> None:
    nowhere, none = put("--upload-pack=x"), enqueue("writing", {"steps": 1})
    drain()
    assert (read(nowhere).last_error["code"], read(none).last_error["code"]) == ("workspace_refused",) * 2
    assert read(none).state == State.FAILED
    settings.ROOST_WORKSPACES_ROOT = None
    item = put(source)
    drain()
    assert (read(item).state, read(item).last_error["code"]) == (State.QUEUED, "workspace_unavailable")
    assert "ROOST_WORKSPACES_ROOT" in read(item).last_error["message"]


NOW = dt.datetime(2026, 1, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("keep", "over"),
    [
        ("always", set()),
        ("until_done", {State.DONE, GONE}),
        ("until_ended", {State.DONE, State.FAILED, State.CANCELLED, GONE}),
        (2, {State.DONE, State.FAILED, State.CANCELLED, GONE}),
        (20, {GONE}),
    ],
)
def test_a_policy_never_lets_go_the_workspace_of_a_live_item(keep: Any, over: set[str]) -> None:
    ended = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    assert {state for state in (*State.values, GONE) if is_over(keep, state, ended, NOW)} == over


def test_cleaning_removes_what_may_go_and_nothing_else(source: str) -> None:
    done, kept = put(source), put(source, keep="always")
    ended, failing = put(source), put(source, keep="until_done")
    drain(skip_delays=True, max_steps=8)
    live = put(source, steps=9)
    drain(max_steps=1)
    WorkItem.objects.filter(pk__in=[ended.pk, failing.pk]).update(state=State.FAILED)
    listed = document("workspaces", "list")["workspaces"]
    assert {one["item"]: one["may_go"] for one in listed} == {
        str(done.pk): True,
        str(kept.pk): False,
        str(ended.pk): True,
        str(failing.pk): False,
        str(live.pk): False,
    }
    assert len(document("workspaces", "clean", "--dry-run")["removed"]) == 2
    assert len(document("workspaces", "list")["workspaces"]) == 5
    assert str(done.pk) in run("workspaces", "list")
    removed = document("workspaces", "clean")["removed"]
    assert {one["item"] for one in removed} == {str(done.pk), str(ended.pk)}
    assert not places.place("default", done.pk).path.exists()
    assert places.place("default", live.pk).path.exists()
    assert "There is nothing to remove." in run("workspaces", "clean")
    cancel(live.pk)
    follow_up(done.pk)
    drain(skip_delays=True)
    assert read(done).result[1] == "3\n"


def test_cleaning_leaves_what_is_in_use_and_what_another_database_knows(source: str) -> None:
    used, foreign = WorkItemFactory(done=True), uuid.uuid4()
    place = places.place("default", used.pk)
    holding = enter(Workspace(source=source), place, epoch=1, home=places.home("default"))
    enter(Workspace(source=source), places.place("default", foreign), epoch=1, home="other").close()
    found = workspaces.kept().rows
    assert [one.record.item for one in found] == [str(used.pk)]
    assert workspace_care.clean(found, "default") == []
    holding.close()
    WorkItem.objects.filter(pk=used.pk).update(state=State.QUEUED)
    assert workspace_care.clean(found, "default") == []
    WorkItem.objects.filter(pk=used.pk).delete()
    assert len(workspace_care.clean(found, "default")) == 1
    assert places.place("default", foreign).path.exists()


def test_the_workspace_of_an_item_on_legal_hold_stays(source: str) -> None:
    item = put(source)
    drain(skip_delays=True)
    [found] = workspaces.kept().rows
    assert found.over
    hold(item.pk, reason="case 1")
    assert workspace_care.clean([found], "default") == [], "held since it was looked at"
    assert [one.over for one in workspaces.kept().rows] == [False]
    unhold(item.pk, reason="closed")
    assert len(workspace_care.clean(workspaces.kept().rows, "default")) == 1


def test_leftovers_are_removed_when_they_are_old_and_nobody_is_at_them(source: str) -> None:
    busy, idle = places.place("default", uuid.uuid4()), places.place("default", uuid.uuid4())
    busy.prepare()
    for place in (busy, idle):
        (place.making / f"{place.item}-0001" / "x").mkdir(parents=True)
    lock = places.Lock.take(busy.lock)
    assert lock is not None
    assert workspace_care.clean_leftovers() == 0
    assert workspace_care.clean_leftovers(older=0.0) == 1
    lock.close()
    assert workspace_care.clean_leftovers(older=0.0) == 1


@pytest.mark.django_db(transaction=True)
def test_a_worker_cleans_up_now_and_then(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workspace_care, "BATCH", 2)
    items = [put(source) for _ in range(3)]
    drain(skip_delays=True)
    monkeypatch.setattr(workspace_care, "EVERY_SECONDS", 0.0)
    care = WorkspaceCare("default")
    for _turn in range(2):
        care.start_if_due()
        assert care._thread is not None
        care._thread.join()
    assert not any(places.place("default", item.pk).path.exists() for item in items)


def test_a_test_gives_its_step_a_folder(tmp_path: Path) -> None:
    run_step(Writing(), {"steps": 2}, context=RecordingContext(folder=tmp_path))
    assert (tmp_path / "lines.txt").read_text() == "1\n"
    with pytest.raises(RoostError, match="no workspaces here"):
        run_step(Writing(), {"steps": 2}, context=RecordingContext())
