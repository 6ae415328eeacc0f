"""Make an item's workspace, or find it again, and keep it for the step that works there."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

from runtime import faults
from runtime.exceptions import Fenced, WorkspaceRefused, WorkspaceUnavailable
from runtime.workspaces import Workspace
from runtime.workspaces.clearing import remove_leftovers, remove_locks
from runtime.workspaces.git import GitFailed, git
from runtime.workspaces.places import Lock, Place, Record, read, write

PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Holding:
    """A workspace in the hands of a step. Close it when the step has ended."""

    path: Path
    lock: Lock

    def close(self) -> None:
        """Let the next one in."""
        self.lock.close()


def enter(wanted: Workspace, place: Place, *, epoch: int, home: str, patience: float = PATIENCE_SECONDS) -> Holding:
    """Return the item's workspace for the owner of this epoch, made if it is not there.

    One at a time has it; the last one is waited for so many seconds. Raises `WorkspaceRefused` (permanent) for what it
    cannot be made from, `WorkspaceUnavailable` (retried) for what may pass, and `Fenced` when a later owner was here.
    """
    wanted.check()
    place.prepare()
    try:
        lock = Lock.take(place.lock, patience=patience)
        if lock is None:
            raise WorkspaceUnavailable(
                f"The workspace {place.path} is in use by another process, which may have lost item {place.item} and "
                f"still work there. It is waited for."
            )
        try:
            _take_over(wanted, place, lock, epoch, home)
        except BaseException:
            lock.close()
            raise
    except OSError as error:
        raise WorkspaceUnavailable(f"The workspace {place.path} cannot be made: {error}.") from error
    lock.hold(place.path)
    return Holding(place.path, lock)


def _take_over(wanted: Workspace, place: Place, lock: Lock, epoch: int, home: str) -> None:
    record = read(place.record)
    if record is not None and record.epoch > epoch:
        raise Fenced(f"Item {place.item} was taken away: a later owner has been in its workspace {place.path}.")
    if place.path.is_symlink():
        # A step put it there: what it leads to is none of this item's.
        place.path.unlink()
    if not place.path.is_dir():
        _make(wanted, place, lock, epoch, home)
        return
    if record is None:
        # The path is there, so it was made to its end; what said from what is lost.
        record = _record(wanted, place, epoch, home)
        write(place.record, record)
    if (record.epoch, record.keep, record.home) != (epoch, wanted.keep, home):
        write(place.record, replace(record, epoch=epoch, keep=wanted.keep, home=home))
    _mend(place, record)
    remove_locks(place, record)


def _make(wanted: Workspace, place: Place, lock: Lock, epoch: int, home: str) -> None:
    """Make the checkout aside, write its record, and put it in its place: from then on it is there."""
    remove_leftovers(place)
    draft = place.making / f"{place.item}-{secrets.token_hex(4)}"
    try:
        make = _worktree if wanted.mode == "worktree" else _clone
        commit, metadata = make(wanted, draft, lock)
    except GitFailed as error:
        remove_leftovers(place)
        raise WorkspaceUnavailable(f"The workspace of item {place.item} cannot be made: {error}") from error
    record = _record(wanted, place, epoch, home, commit=commit, metadata=metadata)
    write(place.record, record)
    with faults.around("workspace"):
        draft.rename(place.path)
    _mend(place, record)


def _record(wanted: Workspace, place: Place, epoch: int, home: str, *, commit: str = "", metadata: str = "") -> Record:
    return Record(
        item=str(place.item),
        namespace=place.namespace,
        home=home,
        epoch=epoch,
        source=wanted.source,
        ref=wanted.ref,
        commit=commit,
        mode=wanted.mode,
        keep=wanted.keep,
        metadata=metadata,
    )


def _worktree(wanted: Workspace, draft: Path, lock: Lock) -> tuple[str, str]:
    source = Path(wanted.source)
    if not source.is_dir():
        raise WorkspaceUnavailable(f"There is no repository {source} on this host.")
    commit = _commit(source, [wanted.ref], wanted, lock)
    git("worktree", "add", "--detach", "--", draft, commit, folder=source, keep_open=[lock.descriptor])
    metadata = git("rev-parse", "--absolute-git-dir", folder=draft).rstrip("\n")
    return commit, metadata


def _clone(wanted: Workspace, draft: Path, lock: Lock) -> tuple[str, str]:
    options = ["--no-checkout", "--no-local", "--no-recurse-submodules", "--template=", "--quiet"]
    kept = [lock.descriptor]
    git("clone", *options, "--", wanted.source, draft, folder=draft.parent, keep_open=kept)
    names = ["HEAD"] if wanted.ref == "HEAD" else [f"refs/remotes/origin/{wanted.ref}", wanted.ref]
    commit = _commit(draft, names, wanted, lock)
    git("checkout", "--detach", "--force", "--quiet", commit, folder=draft, keep_open=kept)
    return commit, ""


def _commit(repository: Path, names: list[str], wanted: Workspace, lock: Lock) -> str:
    for name in names:
        with contextlib.suppress(GitFailed):
            found = git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", folder=repository)
            return found.strip()
    with contextlib.suppress(GitFailed):
        git("rev-parse", "--git-dir", folder=repository)
        raise WorkspaceRefused(f"{wanted.source} has no branch, tag or commit {wanted.ref!r}.")
    raise WorkspaceUnavailable(f"{wanted.source} is no git repository that this user may read.")


def _mend(place: Place, record: Record) -> None:
    """Let the source know where its worktree is: it was moved after it was made."""
    if not record.metadata:
        return
    known = Path(record.metadata) / "gitdir"
    here = f"{place.path / '.git'}\n"
    with contextlib.suppress(FileNotFoundError):
        if known.read_text() == here:
            return
        draft = known.with_name(f"gitdir.{os.getpid()}")
        draft.write_text(here)
        draft.replace(known)
