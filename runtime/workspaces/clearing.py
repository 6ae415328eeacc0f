"""Remove workspaces, and what was left of those that were being made or removed when a process died."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from runtime import faults
from runtime.workspaces.places import Lock, Place, Record, read

GONE = "gone"


def clear(place: Place, may_go: Callable[[Record], bool]) -> bool:
    """Remove an item's workspace if nobody works there and `may_go` says so of it under its lock; say whether.

    The path is gone at once; what it held, a while later. Whoever needs it after that makes it anew. Raises `OSError`.
    """
    lock = Lock.take(place.lock)
    if lock is None:
        return False
    try:
        record = read(place.record)
        if record is None or not may_go(record):
            return False
        gone = place.making / f"{place.item}-{GONE}-{secrets.token_hex(4)}"
        with faults.around("clear"), contextlib.suppress(FileNotFoundError):
            place.path.rename(gone)
        _forget_worktree(place, record)
        place.record.unlink(missing_ok=True)
        place.lock.unlink(missing_ok=True)
    finally:
        lock.close()
    remove(gone)
    return True


def remove_leftovers(place: Place) -> None:
    """Remove what was begun of an item's workspace and never got to its place. Its lock is held."""
    for left in place.making.glob(f"{place.item}-*"):
        _forget_draft(left)
        remove(left)


def remove(folder: Path) -> None:
    """Remove a folder and what is in it, also what is read-only; what cannot be removed stays. Follows no link."""
    if folder.is_symlink():
        with contextlib.suppress(OSError):
            folder.unlink()
        return
    for inner, _folders, _files in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(inner).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)


def remove_locks(place: Place, record: Record) -> None:
    """Remove what git, killed, has left locked of a workspace's own. The workspace's lock is held, so no git is at it.

    A branch's name cannot end in `.lock`, so nothing else does in these folders.
    """
    own = _own_metadata(place, record)
    if own is None:
        return
    for left in [*own.glob("*.lock"), *_locks_in(own / "refs"), *_locks_in(own / "logs")]:
        with contextlib.suppress(OSError):
            left.unlink()


def _locks_in(folder: Path) -> list[Path]:
    """Return the locks in a folder and those in it. Follows no link, and is none itself."""
    if folder.is_symlink():
        return []
    found = ((Path(inner), name) for inner, _folders, names in os.walk(folder) for name in names)
    return [inner / name for inner, name in found if name.endswith(".lock")]


def _own_metadata(place: Place, record: Record) -> Path | None:
    """Return the folder in which git keeps what is this workspace's alone."""
    if not record.metadata:
        own = place.path / ".git"
        return own if own.is_dir() and not own.is_symlink() else None
    own = Path(record.metadata)
    return own if _is_of(own, place.path) else None


def _forget_worktree(place: Place, record: Record) -> None:
    """Remove what the source has of a worktree, if it is this one's."""
    if record.metadata:
        _forget(Path(record.metadata), place.path)


def _forget_draft(draft: Path) -> None:
    """Remove what a source has of a worktree that was being made; `draft` was written by git alone."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        told = (draft / ".git").read_text()
        if told.startswith("gitdir: ") and GONE not in draft.name:
            _forget(Path(told.removeprefix("gitdir: ").strip()), draft)


def _forget(metadata: Path, checkout: Path) -> None:
    if _is_of(metadata, checkout):
        shutil.rmtree(metadata, ignore_errors=True)


def _is_of(metadata: Path, checkout: Path) -> bool:
    """Say whether a folder is what a source has of this worktree."""
    try:
        ours = (metadata / "gitdir").read_text().strip() == str(checkout / ".git")
    except (OSError, UnicodeDecodeError):
        return False
    return ours and metadata.parent.name == "worktrees"
