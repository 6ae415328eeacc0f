"""Where workspaces are: paths, the lock of each, and the record of what it was made from."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Min

from runtime.conf import settings as roost
from runtime.exceptions import WorkspaceUnavailable
from runtime.workspaces import is_policy

HOUSE = ".roost"
NAP_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the workspace of an item is, made or not."""

    root: Path
    namespace: str
    item: uuid.UUID

    @property
    def path(self) -> Path:
        """The checkout."""
        return self.root / self.namespace / str(self.item)

    @property
    def lock(self) -> Path:
        """The file that is locked by whoever works in it."""
        return self.root / HOUSE / "locks" / str(self.item)

    @property
    def record(self) -> Path:
        """The file that says what it was made from."""
        return self.root / HOUSE / "records" / f"{self.item}.json"

    @property
    def making(self) -> Path:
        """The folder of checkouts that are being made, or removed."""
        return self.root / HOUSE / "making"

    def prepare(self) -> None:
        """Make the folders around it. Raises `WorkspaceUnavailable`."""
        try:
            for folder in (self.path.parent, self.lock.parent, self.record.parent, self.making):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceUnavailable(
                f"The workspaces' folder {self.root} cannot be written to: {error.strerror}. Let the worker's user "
                f"write there, or set ROOST_WORKSPACES_ROOT to a folder where it may."
            ) from error


def root() -> Path:
    """Return the folder of the workspaces. Raises `WorkspaceUnavailable`."""
    given: str | None = roost.WORKSPACES_ROOT
    if not given or not Path(given).is_absolute():
        raise WorkspaceUnavailable(
            f"ROOST_WORKSPACES_ROOT is {given!r}: set it to the absolute path of the folder for workspaces."
        )
    return Path(os.path.realpath(given))


def place(namespace: str, item: uuid.UUID) -> Place:
    """Return where an item's workspace is. Raises `WorkspaceUnavailable`."""
    return Place(root=root(), namespace=namespace, item=item)


# Locks ----------------------------------------------------------------------------------------------------------------


class Lock:
    """A locked file. The system frees it with the process, and with what the process let inherit it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._around = ""

    def hold(self, path: Path) -> None:
        """Let programs that are started in this folder inherit the lock, until it is closed."""
        with _sharing:
            self._around = os.path.realpath(path)
            _shared[self._around] = self

    @classmethod
    def take(cls, path: Path, *, patience: float = 0.0) -> Lock | None:
        """Lock the file, waiting so many seconds for whoever has it; None when that was in vain.

        Raises `OSError`.
        """
        until = time.monotonic() + patience
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if _locked(descriptor, path):
                return cls(descriptor)
            os.close(descriptor)
            if time.monotonic() >= until:
                return None
            time.sleep(NAP_SECONDS)

    def close(self) -> None:
        """Let go."""
        with _sharing:
            if _shared.get(self._around) is self:
                del _shared[self._around]
            if self.descriptor >= 0:
                os.close(self.descriptor)
                self.descriptor = -1


_sharing = threading.Lock()
_shared: dict[str, Lock] = {}
"""The locks that steps of this process hold, by the paths of their workspaces."""


@contextmanager
def shared_locks(folder: Path) -> Iterator[tuple[int, ...]]:
    """Give descriptors of the lock that this process holds on a folder, or on one around it, to hand them over."""
    here = os.path.realpath(folder)
    with _sharing:
        found = [lock for path, lock in _shared.items() if here == path or here.startswith(f"{path}{os.sep}")]
        copies = tuple(os.dup(lock.descriptor) for lock in found)
    try:
        yield copies
    finally:
        for copy in copies:
            os.close(copy)


def _locked(descriptor: int, path: Path) -> bool:
    """Lock the open file; False when another has it, or when it was removed while it was waited for."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


# Records --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a workspace was made from, for whom, and how long it stays.

    `epoch` is that of its last owner. `home` stands for the database that its item is in: several may share a root.
    `metadata` is the folder in the source that a worktree has there.
    """

    item: str
    namespace: str
    home: str
    epoch: int
    source: str
    ref: str
    commit: str
    mode: str
    keep: str | float
    metadata: str = ""


def read(path: Path) -> Record | None:
    """Return what a record says; None when there is none that can be read."""
    try:
        found = Record(**json.loads(path.read_bytes()))
        uuid.UUID(found.item)
    except (OSError, ValueError, TypeError):
        return None
    inside = found.namespace not in ("", ".", "..", HOUSE) and "/" not in found.namespace
    usable = inside and isinstance(found.epoch, int) and is_policy(found.keep)
    return found if usable else None


def write(path: Path, record: Record) -> None:
    """Write a record, whole or not at all. Raises `OSError`."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    draft.write_text(json.dumps(asdict(record)))
    draft.replace(path)


def records(base: Path, *, after: str = "") -> Iterator[tuple[str, Record]]:
    """Yield the names and contents of records, in the order of names, from the one after `after` on."""
    folder = base / HOUSE / "records"
    names = sorted(path.name for path in folder.glob("*.json")) if folder.is_dir() else []
    for name in names:
        record = read(folder / name) if name > after else None
        if record is not None:
            yield name, record


_births: dict[str, str] = {}
"""When Roost's first migration was applied, by what a database is reached by."""


def home(using: str) -> str:
    """Return what stands for a database, the same for all that reach it by the same address.

    Two with one address, as behind two networks on one host, differ by the moment at which Roost's tables were made.
    """
    values = connections[using].settings_dict
    told = "\0".join(str(values.get(name, "")) for name in ("ENGINE", "HOST", "PORT", "NAME"))
    if told not in _births:
        _births[told] = _birth(using)
    return hashlib.sha256(f"{told}\0{_births[told]}".encode()).hexdigest()[:16]


def _birth(using: str) -> str:
    connection = connections[using]
    was_closed = connection.connection is None
    try:
        recorder = MigrationRecorder(connection)
        if not recorder.has_table():
            return ""
        first = recorder.migration_qs.filter(app="roost").aggregate(first=Min("applied"))["first"]
        return "" if first is None else str(first.timestamp())
    finally:
        if was_closed:
            connection.close()
