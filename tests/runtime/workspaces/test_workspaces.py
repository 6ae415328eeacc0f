"""A workspace is made whole or not at all, is one owner's at a time, and takes nothing that git would run."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from runtime import faults
from runtime.exceptions import Fenced, WorkspaceRefused, WorkspaceUnavailable
from runtime.faults import InjectedFault, Plan
from runtime.workspaces import Workspace, places
from runtime.workspaces.clearing import clear
from runtime.workspaces.git import agit, environment
from runtime.workspaces.git import git as run_git
from runtime.workspaces.making import Holding, enter
from runtime.workspaces.places import Lock, Place, read, write
from tests.runtime.workspaces.repositories import commit, git, repository

pytestmark = pytest.mark.plain

MODES = ("worktree", "clone")


@pytest.fixture(autouse=True)
def root(settings: Any, tmp_path: Path) -> Path:
    """Give the workspaces a folder."""
    settings.ROOST_WORKSPACES_ROOT = str(tmp_path / "workspaces")
    return tmp_path / "workspaces"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a repository."""
    return repository(tmp_path / "source")


def somewhere() -> Place:
    """Return the place of a new item."""
    return places.place("default", uuid.uuid4())


def made(wanted: Workspace, place: Place, epoch: int = 1, patience: float = 0.0) -> Holding:
    """Enter a workspace."""
    return enter(wanted, place, epoch=epoch, home="here", patience=patience)


def visit(wanted: Workspace, place: Place, epoch: int = 1) -> Path:
    """Enter a workspace and leave it."""
    holding = made(wanted, place, epoch)
    holding.close()
    return holding.path


def leftovers(place: Place) -> list[str]:
    """Name what is half made or half removed."""
    return sorted(path.name for path in place.making.iterdir())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ref", ["HEAD", "main", "v1", "commit"])
def test_a_workspace_is_a_checkout_of_the_ref_at_the_items_path(root: Path, source: Path, mode: Any, ref: str) -> None:
    first = git(source, "rev-parse", "HEAD")
    wanted = Workspace(source=str(source), ref=first if ref == "commit" else ref, mode=mode)
    place = somewhere()
    path = visit(wanted, place)
    assert path == root / "default" / str(place.item)
    assert (path / "src/main.py").read_text() == "print('one')\n"
    assert git(path, "rev-parse", "HEAD") == first
    assert git(path, "status", "--porcelain") == ""
    record = read(place.record)
    assert record is not None
    assert (record.commit, record.epoch, leftovers(place)) == (first, 1, [])


@pytest.mark.parametrize("mode", MODES)
def test_the_same_workspace_is_found_again_as_it_was_left(source: Path, mode: Any) -> None:
    wanted, place = Workspace(source=str(source), ref="main", mode=mode), somewhere()
    path = visit(wanted, place)
    (path / "new.txt").write_text("kept")
    commit(source, {"README.md": "Moved on.\n"})
    assert visit(wanted, place, epoch=7) == path
    assert ((path / "new.txt").read_text(), (path / "README.md").read_text()) == ("kept", "Read me.\n")
    other = visit(wanted, somewhere())
    assert (other / "README.md").read_text() == "Moved on.\n"


def test_a_worktree_survives_a_prune_of_its_source(source: Path) -> None:
    path = visit(Workspace(source=str(source)), somewhere())
    git(source, "worktree", "prune", "--expire", "now")
    assert git(path, "rev-parse", "HEAD") == git(source, "rev-parse", "HEAD")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("point", ["workspace.before", "workspace.after"])
def test_a_process_that_dies_while_making_leaves_all_or_nothing(source: Path, mode: Any, point: str) -> None:
    wanted, place = Workspace(source=str(source), mode=mode), somewhere()
    with faults.planned(Plan(point=point, action="raise")), pytest.raises(InjectedFault):
        made(wanted, place)
    assert place.path.exists() == point.endswith("after")
    path = visit(wanted, place, epoch=2)
    assert (path / "README.md").exists()
    assert leftovers(place) == []
    git(source, "worktree", "prune", "--expire", "now")
    assert git(path, "status", "--porcelain") == ""
    assert len(git(source, "worktree", "list").splitlines()) == (2 if mode == "worktree" else 1)


def test_one_at_a_time_has_it_and_the_next_one_is_told(source: Path) -> None:
    wanted, place = Workspace(source=str(source)), somewhere()
    first = made(wanted, place)
    with pytest.raises(WorkspaceUnavailable, match="in use by another process"):
        made(wanted, place, epoch=2)
    waiting: list[Holding] = []
    thread = threading.Thread(target=lambda: waiting.append(made(wanted, place, 2, patience=20.0)))
    thread.start()
    first.close()
    thread.join()
    waiting[0].close()


def test_an_owner_that_has_lost_the_item_is_refused(source: Path) -> None:
    wanted, place = Workspace(source=str(source)), somewhere()
    visit(wanted, place, epoch=2)
    with pytest.raises(Fenced):
        made(wanted, place, epoch=1)
    visit(wanted, place, epoch=2)


def test_the_lock_goes_with_the_process_that_had_it(source: Path) -> None:
    place = somewhere()
    place.prepare()
    script = (
        "import pathlib, sys, time\nfrom runtime.workspaces.places import Lock\n"
        "assert Lock.take(pathlib.Path(sys.argv[1]))\nprint('mine', flush=True)\ntime.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(place.lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "mine\n"
        assert Lock.take(place.lock) is None
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    lock = Lock.take(place.lock, patience=5.0)
    assert lock is not None
    lock.close()


HOSTILE = [
    "ext::sh -c touch% /tmp/x",
    "--upload-pack=touch /tmp/x",
    "-oProxyCommand=x",
    "ssh://-oProxyCommand=x/y",
    "ssh://host -x/y",
    "git@host:path",
    "http://example.com/x.git",
    "file:///etc",
    "fd::17/x",
    "https://user:secret@example.com/x.git",
    "https://token@example.com/x.git",
    "https:///x.git",
    "/srv/../etc",
    "relative/path",
    "/a\nb",
    "",
    "x" * 3000,
]


@pytest.mark.scenario("B10")
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_source_that_git_would_obey_is_refused(hostile: str) -> None:
    with pytest.raises(WorkspaceRefused):
        made(Workspace(source=hostile, mode="clone"), somewhere())


@pytest.mark.scenario("B10")
@pytest.mark.parametrize(
    "ref", ["--upload-pack=x", "-x", "a b", "a..b", "a\nb", "HEAD@{1}", "a:b", "", "^x", "x" * 300]
)
def test_a_ref_that_git_would_obey_is_refused(source: Path, ref: str) -> None:
    with pytest.raises(WorkspaceRefused):
        made(Workspace(source=str(source), ref=ref), somewhere())


def test_what_makes_no_sense_is_refused(source: Path) -> None:
    bad: list[dict[str, Any]] = [{"mode": "copy"}, {"keep": "never"}, {"keep": -1}, {"keep": True}, {"ref": "gone"}]
    for more in bad:
        with pytest.raises(WorkspaceRefused):
            made(Workspace(source=str(source), **more), somewhere())
    with pytest.raises(WorkspaceRefused, match="worktree needs a repository on this host"):
        made(Workspace(source="https://example.com/x.git"), somewhere())
    Workspace(source="ssh://git@example.com:2222/x.git", mode="clone", ref="feature/a-b_c.1").check()


def test_sources_can_be_limited(settings: Any, source: Path) -> None:
    settings.ROOST_WORKSPACE_SOURCES = [str(source), "https://git.example.com/shop"]
    visit(Workspace(source=str(source)), somewhere())
    Workspace(source="https://git.example.com/shop/a.git", mode="clone").check()
    for other in (f"{source}-other", "https://git.example.com/shopping.git", "/etc"):
        with pytest.raises(WorkspaceRefused, match="ROOST_WORKSPACE_SOURCES"):
            Workspace(source=other, mode="clone").check()


@pytest.mark.scenario("B10")
@pytest.mark.parametrize("mode", MODES)
def test_hooks_of_the_source_are_not_run(source: Path, tmp_path: Path, mode: Any) -> None:
    witness = tmp_path / "witness"
    for name in ("post-checkout", "reference-transaction", "pre-commit"):
        hook = source / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {witness}\n")
        hook.chmod(0o755)
    path = visit(Workspace(source=str(source), mode=mode), somewhere())
    run_git("checkout", "--detach", "v1", folder=path)
    assert not witness.exists()
    git(source, "checkout", "--quiet", "--detach")
    assert witness.exists(), "the hooks of this test do nothing"


def test_errors_say_what_is_wrong(settings: Any, source: Path, tmp_path: Path, monkeypatch: Any) -> None:
    wanted = Workspace(source=str(source))
    with pytest.raises(WorkspaceUnavailable, match="no repository"):
        made(Workspace(source=str(tmp_path / "nowhere")), somewhere())
    with pytest.raises(WorkspaceUnavailable, match="no git repository"):
        made(Workspace(source=str(tmp_path)), somewhere())
    with pytest.raises(WorkspaceUnavailable, match="cannot be made"):
        made(Workspace(source=str(tmp_path), mode="clone"), somewhere())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkspaceUnavailable, match="git is not installed"):
        made(wanted, somewhere())
    (tmp_path / "file").write_text("")
    settings.ROOST_WORKSPACES_ROOT = str(tmp_path / "file" / "workspaces")
    with pytest.raises(WorkspaceUnavailable, match="cannot be written to"):
        made(wanted, somewhere())
    for bad in (None, "relative"):
        settings.ROOST_WORKSPACES_ROOT = bad
        with pytest.raises(WorkspaceUnavailable, match="ROOST_WORKSPACES_ROOT"):
            somewhere()


def test_git_that_hangs_is_ended_with_what_it_started(source: Path, monkeypatch: Any, tmp_path: Path) -> None:
    notes = tmp_path / "pid"
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\necho $$ >> {notes}\nexec sleep 600\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("GIT_SSH", str(ssh))
    for call in (
        lambda: run_git("ls-remote", "ssh://example.invalid/x", folder=source, seconds=1.0),
        lambda: asyncio.run(agit("ls-remote", "ssh://example.invalid/x", folder=source, seconds=1.0)),
    ):
        with pytest.raises(WorkspaceUnavailable, match="took longer than 1 s"):
            call()
    pids = notes.read_text().split()
    assert len(pids) == 2
    until = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/cmdline").exists() and _sleeps(pid) for pid in pids):
        assert time.monotonic() < until, "what git has started lives on"


def _sleeps(pid: str) -> bool:
    try:
        return b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_git_gets_no_prompts_and_no_repository_but_its_own(monkeypatch: Any, root: Path) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/kept")
    found = environment()
    assert "GIT_DIR" not in found
    assert (found["GIT_CONFIG_GLOBAL"], found["GIT_TERMINAL_PROMPT"]) == ("/kept", "0")
    assert found["GIT_CEILING_DIRECTORIES"] == str(root)


@pytest.mark.parametrize("mode", MODES)
def test_clearing_removes_everything_unless_it_is_in_use_or_may_not_go(source: Path, mode: Any) -> None:
    wanted, place = Workspace(source=str(source), mode=mode), somewhere()
    holding = made(wanted, place)
    folder = holding.path / "locked"
    folder.mkdir()
    (folder / "file").write_text("")
    folder.chmod(0o500)
    assert not clear(place, lambda record: True)
    holding.close()
    assert not clear(place, lambda record: False)
    assert place.path.exists()
    assert clear(place, lambda record: record.item == str(place.item))
    assert not any(path.exists() for path in (place.path, place.record, place.lock))
    assert leftovers(place) == []
    assert len(git(source, "worktree", "list").splitlines()) == 1
    assert (visit(wanted, place) / "README.md").exists()


def test_clearing_touches_no_worktree_of_somebody_else(source: Path, tmp_path: Path) -> None:
    git(source, "worktree", "add", "--detach", str(tmp_path / "other"))
    theirs = git(tmp_path / "other", "rev-parse", "--absolute-git-dir")
    place = somewhere()
    visit(Workspace(source=str(source)), place)
    record = read(place.record)
    assert record is not None
    write(place.record, dataclasses.replace(record, metadata=theirs))
    (place.path / ".git").write_text(f"gitdir: {theirs}\n")
    assert clear(place, lambda record: True)
    assert git(tmp_path / "other", "rev-parse", "HEAD")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"item": "x"}'])
def test_a_workspace_whose_record_cannot_be_read_is_kept_and_recorded_anew(source: Path, text: str) -> None:
    place = somewhere()
    path = visit(Workspace(source=str(source)), place)
    (path / "new.txt").write_text("kept")
    place.record.write_text(text)
    assert read(place.record) is None
    visit(Workspace(source=str(source)), place, epoch=3)
    record = read(place.record)
    assert record is not None
    assert (record.epoch, (path / "new.txt").read_text()) == (3, "kept")


@pytest.mark.parametrize("point", ["clear.before", "clear.after"])
@pytest.mark.parametrize("mode", MODES)
def test_clearing_that_was_cut_off_is_done_by_the_next_who_clears_or_enters(
    source: Path, mode: str, point: str
) -> None:
    place, wanted = somewhere(), Workspace(source=str(source), mode=mode)
    visit(wanted, place)
    (place.path / "left.txt").write_text("left by the first")
    with faults.planned(Plan(point=point, action="raise")), pytest.raises(InjectedFault):
        clear(place, lambda record: True)
    assert place.path.exists() == (point == "clear.before")
    clear(place, lambda record: True)
    assert not place.path.exists()
    assert not (visit(wanted, place, epoch=2) / "left.txt").exists()
