from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.testing import drain
from tests.runtime.management.cli import document, refused, run
from tests.runtime.workspaces.repositories import repository

pytestmark = pytest.mark.django_db


@pytest.fixture
def item(settings: Any, tmp_path: Path) -> WorkItem:
    """Return an item that is done and has left a workspace."""
    settings.ROOST_WORKSPACES_ROOT = str(tmp_path / "workspaces")
    settings.ROOST_ENGINES = {"writing": "tests.runtime.workspaces.engines.Writing"}
    made = enqueue("writing", {"source": str(repository(tmp_path / "source")), "steps": 1})
    drain(engines=["writing"])
    return made


def test_workspace_path_prints_the_path_alone(item: WorkItem, tmp_path: Path) -> None:
    path = tmp_path / "workspaces" / "default" / str(item.pk)
    assert run("workspace-path", item.pk) == f"{path}\n"
    assert document("workspace-path", item.pk) == {"id": str(item.pk), "path": str(path)}


def test_workspace_path_ends_with_one_where_there_is_none(item: WorkItem, settings: Any) -> None:
    other = enqueue("writing", {"steps": 1})
    code, message = refused("workspace-path", other.pk)
    assert (code, "has no workspace on this host" in message) == (1, True)
    settings.ROOST_WORKSPACES_ROOT = None
    code, message = refused("workspace-path", item.pk)
    assert (code, "ROOST_WORKSPACES_ROOT" in message) == (1, True)
    assert refused("workspace-path", "ffffffff")[0] == 3


def test_workspaces_list_and_clean_tell_what_may_go_and_remove_it(item: WorkItem) -> None:
    [listed] = document("workspaces", "list")["workspaces"]
    assert (listed["item"], listed["state"], listed["may_go"]) == (str(item.pk), "done", True)
    assert document("workspaces", "list", "--after", listed["name"]) == {"workspaces": [], "next": None}
    assert str(item.pk) in run("workspaces", "clean", "--dry-run")
    assert Path(listed["path"]).exists()
    assert str(item.pk) in run("workspaces", "clean")
    assert not Path(listed["path"]).exists()
    assert "There are no workspaces on this host." in run("workspaces", "list")
