"""What a step that is made again sees in the place of the world."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from runtime import artifacts, jsondata
from runtime.choices import JournalState
from runtime.exceptions import RetryableError
from runtime.journal.entries import WRITTEN, Answer, Begin, Entry, Found, Write
from runtime.store.guard import reads_only
from runtime.store.values import Held
from runtime.worker.context import Context
from runtime.worker.replay.record import Child
from runtime.worker.run import Run
from runtime.workspaces import places

OUTSIDE = frozenset(
    {"socket.connect", "socket.sendto", "socket.sendmsg", "subprocess.Popen"}
    | {"os.system", "os.posix_spawn", "os.exec", "os.fork"}
)
"""What Python's audit tells of when code reaches for something outside the process."""


class Unreplayable(BaseException):
    """Ends a step that is made again: it needs what is not in the record.

    Not an `Exception`, so that a step's own `except Exception` does not swallow it.
    """


class Watch:
    """Notes the first thing that a step asked for and that is not in the record: its `kind`, and `text` for people."""

    def __init__(self) -> None:
        self.kind = ""
        self.text = ""

    def refuse(self, kind: str, text: str) -> Unreplayable:
        """Note it, and return what is to be raised."""
        if not self.kind:
            self.kind, self.text = kind, text
        return Unreplayable(text)


_watch: ContextVar[Watch | None] = ContextVar("roost_replay", default=None)
_hooked = False


@contextmanager
def watching(using: str, watch: Watch, *, writes: bool) -> Iterator[None]:
    """Refuse what leaves the process while the block runs, here and in what it starts in other threads.

    On the work database reads pass everywhere, writes (if `writes`) on this thread's connection alone: its caller rolls
    them back. Code that starts a thread without its context is not seen.
    """
    _hook()
    own = connections[using]
    guarded: list[Any] = []

    def guard(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if _watch.get() is watch and not reads_only(sql, own.vendor):
            raise watch.refuse("write", f"The step writes to the work database outside its own transaction: {sql:.80}")
        return execute(sql, params, many, context)

    def opened(connection: Any, **_more: Any) -> None:
        if connection.alias == using and connection is not own and _watch.get() is watch:
            connection.execute_wrappers.append(guard)
            guarded.append(connection)

    if not writes:
        own.execute_wrappers.insert(0, guard)
        guarded.append(own)
    connection_created.connect(opened, weak=False)
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)
        connection_created.disconnect(opened)
        for connection in guarded:
            connection.execute_wrappers.remove(guard)


def _hook() -> None:
    """Listen to Python's audit, from the first replay on: a hook cannot be taken off again."""
    global _hooked
    if not _hooked:
        _hooked = True
        sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in OUTSIDE:
        watch = _watch.get()
        if watch is not None:
            told = ", ".join(repr(argument)[:80] for argument in arguments[-1 if "socket" in event else 0 :][:2])
            raise watch.refuse("outside", f"The step reaches outside without ctx.run: {event} {told}")


class RecordedJournal:
    """Answers for the calls of one step from the record. Nothing is written, and nothing is called."""

    own_thread = True

    def __init__(self, entries: Mapping[tuple[int, str], Entry], watch: Watch, made: Mapping[str, int]) -> None:
        self._entries = entries
        self._watch = watch
        self._made = made

    def write(self, write: Write) -> Found:
        """Return what is recorded. Raises `Unreplayable`, or what the recorded call raised when it had failed."""
        if not isinstance(write, Begin):
            return WRITTEN
        key = write.place.key
        entry = self._entries.get((write.place.base_version, key))
        if entry is None:
            return self._refused(write)
        if entry.input_hash == write.input_hash:
            if entry.state == JournalState.RETRY:
                raise _failed(key, entry)
            if write.replaces is not None:
                raise self._watch.refuse("call", f"The call {key!r} ({write.name}) was cut off: its end is not known.")
        return Found(answer=Answer.RECORDED, entry=entry)

    async def awrite(self, write: Write) -> Found:
        """Do what `write()` does."""
        return self.write(write)

    def rolled_back(self, held: Held) -> None:
        """Do nothing: nothing was written."""

    def _refused(self, begin: Begin) -> Found:
        """Say again that a quota of the run was used up; any other call without a record is none of this run's."""
        for quota in begin.quotas:
            if quota.seconds is None and self._made.get(begin.name, 0) >= quota.most:
                return Found(answer=Answer.SPENT, quota=quota)
        key = begin.place.key
        raise self._watch.refuse("call", f"The step makes a call that was not recorded: {key!r} ({begin.name}).")


def _failed(key: str, entry: Entry) -> RetryableError:
    """Return the error that left an entry to be tried again, as the step had it."""
    told = jsondata.loads(entry.error or "{}")
    message = f"The call {key!r} failed: {told.get('message', '')}"
    return RetryableError(message, code=str(told.get("code", "")), details={"key": key})


class ReplayContext(Context):
    """Stages nothing: files are measured and not stored, children are those that are recorded."""

    __slots__ = ("_kids", "_watch")

    def __init__(self, run: Run, using: str, watch: Watch, children: Sequence[Child]) -> None:
        super().__init__(run, using)
        self._watch = watch
        self._kids = children

    def artifact(self, name: str, content: bytes | str | Any, **more: Any) -> str:
        """Check the file and return its sha256."""
        return artifacts.prepare(name, content, **more).sha256

    async def aartifact(self, name: str, content: bytes | str | Any, **more: Any) -> str:
        """Do what `artifact()` does."""
        return self.artifact(name, content, **more)

    def workspace(self) -> Path:
        """Return where the workspace is or would be: it is not made, nor is what recorded calls did there."""
        return places.place(self._run.claimed.namespace, self._run.id).path

    async def aworkspace(self) -> Path:
        """Do what `workspace()` does."""
        return self.workspace()

    def log(self, message: str, *, level: str = "info", **data: Any) -> None:
        """Do nothing."""

    def progress(self, fraction: float | None = None, note: str = "") -> None:
        """Do nothing."""

    def spawn(self, engine: str, payload: Any = None, **more: Any) -> uuid.UUID:
        """Return the id of the child that was spawned here."""
        place = self._spawned
        self._spawned += 1
        if place >= len(self._kids):
            raise self._watch.refuse("child", f"The step spawns a child that was not recorded: {engine}.")
        child = self._kids[place]
        if child.engine not in ("", engine):
            raise self._watch.refuse("child", f"The step spawns {engine!r} where it had spawned {child.engine!r}.")
        return child.id
