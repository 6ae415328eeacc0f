"""A journal in a file: one JSON object a line, appended and never changed, for programs without a database.

The last line of a key is its entry. A process that dies while it appends leaves a torn last line: that line is lost
and no other, which is safe, because nobody had been told of it. One process at a time has the file.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from runtime.exceptions import Conflict, RoostError
from runtime.journal.entries import Entry, Place
from runtime.journal.memory import MemoryJournal

BEGINNING = b'{"run":"'
"""How the file begins."""
COLUMNS = ("state", "attempts", "input_hash", "name", "result", "error")


class CorruptJournal(RoostError):
    """A line of a journal's file, and not the last one, cannot be read."""

    code = "corrupt_journal"


class JsonLinesJournal(MemoryJournal):
    """Keeps entries in the file `path`, which is made if it is not there; results stay in memory beside it.

    What `write` answers is on the disk (fsync). Close it, or use it as a context manager, to let another process have
    the file. Raises `Conflict` when another process has it, `CorruptJournal` when it is no journal.
    """

    blocks: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self.path = Path(path)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._lock()
            self._read()
            _sync_folder(self.path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Let go of the file."""
        with self._guard:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> JsonLinesJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"The journal {self.path} is in use by another process.", state="locked") from None

    def _read(self) -> None:
        """Read the entries; cut off a line that was not written to its end, so that the next one begins anew."""
        good = 0
        with self.path.open("rb") as file:
            self._require_ours(file.peek(len(BEGINNING))[: len(BEGINNING)])
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") or not self._take(line, number, last=not file.peek(1)):
                    break
                good += len(line)
        os.ftruncate(self._file, good)

    def _require_ours(self, head: bytes) -> None:
        """Raise `CorruptJournal` for another kind of file, of which nothing is to be cut off.

        The first line may be torn, or be zeros after a crash of the machine.
        """
        if not BEGINNING.startswith(head) and head.strip(b"\0"):
            raise CorruptJournal(f"Line 1 of {self.path} is no journal entry: it begins with {head!r}.")

    def _take(self, line: bytes, number: int, *, last: bool) -> bool:
        """Take up a line; return False for one that is torn."""
        try:
            told: dict[str, Any] = json.loads(line)
            name = (uuid.UUID(told["run"]), int(told["base_version"]), str(told["key"]))
            if told["state"] == "forgotten":
                self._entries.pop(name, None)
            else:
                columns = {column: told[column] for column in COLUMNS}
                started = float(told.get("started", 0.0))  # older files do not say
                self._entries[name] = Entry(call=uuid.UUID(told["call"]), started=started, **columns)
        except (ValueError, KeyError, TypeError) as error:
            if last:
                return False
            raise CorruptJournal(f"Line {number} of {self.path} is no journal entry: {error}") from error
        return True

    def _keep(self, place: Place, entry: Entry | None) -> None:
        if self._file < 0:
            raise RoostError(f"The journal {self.path} is closed.")
        told: dict[str, Any] = {"run": str(place.item), "base_version": place.base_version, "key": place.key}
        if entry is None:
            told["state"] = "forgotten"
        else:
            told |= {column: getattr(entry, column) for column in COLUMNS} | {"call": str(entry.call)}
            told["started"] = entry.started
        self._append(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        """Write the whole line and see it to the disk, or leave none of it behind."""
        end = os.fstat(self._file).st_size
        try:
            left = memoryview(line)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, end)
            raise


def _sync_folder(folder: Path) -> None:
    """See to it that the file itself is there after a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
