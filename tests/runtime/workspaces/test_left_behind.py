"""What a killed worker, or a hostile step, leaves behind harms neither the next owner nor anybody else."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from runtime.exceptions import WorkspaceRefused, WorkspaceUnavailable
from runtime.worker import workspace_care
from runtime.workspaces import Workspace, places
from runtime.workspaces.clearing import clear
from runtime.workspaces.git import GitFailed, TooMuch, agit, environment
from runtime.workspaces.git import git as run_git
from runtime.workspaces.making import enter
from runtime.workspaces.places import Lock, Place, read
from tests.runtime.workspaces.repositories import git, repository

MODES = ("worktree", "clone")
HANG = """
import asyncio, sys
from pathlib import Path
from runtime.workspaces.git import agit, git
from runtime.workspaces.places import Lock
folder, lock, lane = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
taken = Lock.take(lock)
taken.hold(folder)
command = ("ls-remote", "ssh://example.invalid/x")
asyncio.run(agit(*command, folder=folder)) if lane == "async" else git(*command, folder=folder)
"""


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


def visit(wanted: Workspace, place: Place, epoch: int = 1, home: str = "here") -> Path:
    """Enter a workspace and leave it."""
    holding = enter(wanted, place, epoch=epoch, home=home, patience=0.0)
    holding.close()
    return holding.path


def until(true: Any, what: str) -> None:
    """Wait until this is true."""
    end = time.monotonic() + 15
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Say whether a process is still at work: a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def hanging(script: Path, folder: Path, lock: Path, lane: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker in whose workspace git hangs."""
    told = {**os.environ, "GIT_SSH": str(script), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    with subprocess.Popen([sys.executable, "-c", HANG, str(folder), str(lock), lane], env=told) as worker:
        try:
            yield worker
        finally:
            worker.kill()


@pytest.mark.parametrize("lane", ["async", "atomic"])
@pytest.mark.scenario("L16")
def test_git_dies_with_its_worker_and_the_next_owner_waits_for_that(source: Path, tmp_path: Path, lane: str) -> None:
    notes, ssh, place = tmp_path / "pid", tmp_path / "ssh", somewhere()
    ssh.write_text(f"#!/bin/sh\necho $$ > {notes}.new && mv {notes}.new {notes}\nexec sleep 600\n")
    ssh.chmod(0o755)
    visit(Workspace(source=str(source)), place)
    with hanging(ssh, place.path, place.lock, lane) as worker:
        until(notes.exists, "git did not start")
        pid = int(notes.read_text())
        holders = [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if os.path.realpath(fd) == str(place.lock)]
        assert holders, "git does not hold the lock of the workspace that it works in"
        assert Lock.take(place.lock) is None
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        lock = Lock.take(place.lock, patience=10.0)
        assert lock is not None
        assert not alive(pid), "the lock was free while git was still at work"
        lock.close()


def test_a_lock_is_shared_with_git_inside_its_workspace_alone(source: Path, tmp_path: Path) -> None:
    place = somewhere()
    holding = enter(Workspace(source=str(source)), place, epoch=1, home="here")
    for folder, shared in ((place.path, 1), (place.path / "src", 1), (tmp_path, 0), (place.path.parent, 0)):
        with places.shared_locks(folder) as locks:
            assert len(locks) == shared
    holding.close()
    with places.shared_locks(place.path) as locks:
        assert locks == ()


def test_git_says_how_it_ended_through_the_shell_that_leads_it(source: Path) -> None:
    with pytest.raises(GitFailed) as failed:
        run_git("rev-parse", "--verify", "nothing", folder=source)
    assert failed.value.details["exit_code"] == 128
    assert "Needed a single revision" in failed.value.details["said"]
    with pytest.raises(GitFailed, match="Needed a single revision"):
        asyncio.run(agit("rev-parse", "--verify", "nothing", folder=source))
    told = run_git("-c", "alias.say=!printf '%s|' 'a b' '$x' \"it's\"", "say", folder=source)
    assert told == "a b|$x|it's|"


def test_output_that_is_too_much_ends_git_with_a_clear_error(source: Path) -> None:
    assert asyncio.run(agit("log", "--format=%s", folder=source, most=5)) == "more\n"
    with pytest.raises(TooMuch, match="The log has more than 4 bytes"):
        asyncio.run(agit("log", "--format=%s", folder=source, most=4, what="The log"))


@pytest.mark.parametrize("mode", MODES)
def test_locks_that_a_killed_git_has_left_are_removed_for_the_next_step(source: Path, mode: Any) -> None:
    wanted, place = Workspace(source=str(source), mode=mode), somewhere()
    path = visit(wanted, place)
    own = Path(git(path, "rev-parse", "--absolute-git-dir"))
    (own / "refs" / "bisect").mkdir(parents=True, exist_ok=True)
    left = [own / "index.lock", own / "HEAD.lock", own / "refs" / "bisect" / "bad.lock"]
    for one in left:
        one.touch()
    others = source / ".git" / "packed-refs.lock"
    others.touch()
    (path / "yarn.lock").write_text("a file of the product's")
    with pytest.raises(GitFailed):
        run_git("add", "--all", folder=path)
    visit(wanted, place, epoch=2)
    run_git("add", "--all", folder=path)
    assert not any(one.exists() for one in left)
    assert others.exists(), "what the source's own git has locked is not this workspace's"
    assert (path / "yarn.lock").exists()


def test_no_lock_is_removed_through_a_link(source: Path, tmp_path: Path) -> None:
    wanted, place = Workspace(source=str(source), mode="clone"), somewhere()
    path = visit(wanted, place)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "index.lock").touch()
    (path / ".git").rename(path / "moved")
    (path / ".git").symlink_to(tmp_path / "theirs")
    visit(wanted, place, epoch=2)
    assert (tmp_path / "theirs" / "index.lock").exists()


def test_a_workspace_that_a_step_replaced_by_a_link_is_made_anew(source: Path, tmp_path: Path) -> None:
    wanted, place = Workspace(source=str(source)), somewhere()
    path = visit(wanted, place)
    path.rename(tmp_path / "away")
    path.symlink_to(tmp_path / "away")
    assert not visit(wanted, place, epoch=2).is_symlink()
    assert (path / "README.md").exists()
    assert (tmp_path / "away").exists()


def test_clearing_does_not_touch_what_a_link_leads_to(source: Path, tmp_path: Path) -> None:
    wanted, place = Workspace(source=str(source)), somewhere()
    path = visit(wanted, place)
    theirs = tmp_path / "theirs"
    (theirs / "inner").mkdir(parents=True)
    (theirs / "inner").chmod(0o755)
    path.rename(tmp_path / "away")
    path.symlink_to(theirs)
    assert clear(place, lambda record: True)
    assert not os.path.lexists(path)
    assert list(place.making.iterdir()) == []
    assert (theirs / "inner").stat().st_mode & 0o777 == 0o755


def test_a_link_among_the_leftovers_is_removed_wherever_it_leads() -> None:
    place = somewhere()
    place.prepare()
    left = place.making / f"{place.item}-gone-0001"
    left.symlink_to("nowhere")
    assert workspace_care.clean_leftovers(older=0.0) == 1
    assert not left.is_symlink()


@pytest.mark.scenario("B10")
@pytest.mark.parametrize("path", ["%2e%2e/other", "%2E%2E/other", "a%2f..%2fother", "%252e%252e/other", "..\\other"])
def test_a_source_that_hides_where_it_leads_is_refused(settings: Any, path: str) -> None:
    settings.ROOST_WORKSPACE_SOURCES = ["https://git.example.com/shop"]
    Workspace(source="https://git.example.com/shop/caf%C3%A9%20x.git", mode="clone").check()
    with pytest.raises(WorkspaceRefused):
        Workspace(source=f"https://git.example.com/shop/{path}", mode="clone").check()


def test_large_files_are_left_where_they_are() -> None:
    assert environment()["GIT_LFS_SKIP_SMUDGE"] == "1"


@pytest.mark.django_db
def test_two_databases_at_the_same_address_are_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_births", {})
    first = places.home("default")
    assert places.home("default") == first
    rows = MigrationRecorder(connection).migration_qs.filter(app="roost")
    rows.update(applied=rows.order_by("applied")[0].applied.replace(year=2001))
    monkeypatch.setattr(places, "_births", {})
    assert places.home("default") != first


def test_a_workspace_is_known_by_the_database_that_last_worked_in_it(source: Path) -> None:
    wanted, place = Workspace(source=str(source)), somewhere()
    visit(wanted, place, home="before it was moved")
    visit(wanted, place, home="since then")
    record = read(place.record)
    assert record is not None
    assert record.home == "since then"


def test_git_that_cannot_be_started_says_so(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkspaceUnavailable, match="cannot be run in"):
        run_git("status", folder=source / "nowhere")
    monkeypatch.setenv("PATH", str(source))
    with pytest.raises(WorkspaceUnavailable, match="not installed"):
        run_git("status", folder=source)


@pytest.mark.parametrize("part", ["refs", "logs"])
def test_no_lock_is_removed_through_a_link_inside_gits_folder(source: Path, tmp_path: Path, part: str) -> None:
    wanted, place = Workspace(source=str(source), mode="clone"), somewhere()
    path = visit(wanted, place)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "Cargo.lock").touch()
    shutil.rmtree(path / ".git" / part, ignore_errors=True)
    (path / ".git" / part).symlink_to(tmp_path / "theirs")
    visit(wanted, place, epoch=2)
    assert (tmp_path / "theirs" / "Cargo.lock").exists()
