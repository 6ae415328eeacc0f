"""What a step that is made again sees in the place of the world."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime import artifacts, jsondata
from runtime.choices import JournalState
from runtime.exceptions import RetryableError
from runtime.journal import CallPolicy
from runtime.journal.call import Scope
from runtime.journal.entries import WRITTEN, Answer, Begin, Entry, Found, Write
from runtime.store.values import Held, Outcome
from runtime.worker.context import Context
from runtime.worker.replay.record import Child
from runtime.worker.replay.stand_in import StandIn
from runtime.worker.replay.watch import Watch
from runtime.worker.run import Run


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
    """Stages nothing: files are measured and not stored, children are those that are recorded.

    An empty folder stands in for the workspace. In what the step makes of its path, the real one is put back.
    """

    __slots__ = ("_kids", "_stand_in", "_watch")

    def __init__(self, run: Run, using: str, watch: Watch, children: Sequence[Child]) -> None:
        super().__init__(run, using)
        self._watch = watch
        self._kids = children
        self._stand_in = StandIn(run.claimed.namespace, run.id)

    def run(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        policy: CallPolicy | None = None,
        scope: Scope = "step",
        input: Any = None,  # noqa: A002 - as in a step
        name: str = "",
        **kwargs: Any,
    ) -> Any:
        """Look the call up in the record, by what it was given when the workspace was the real one."""
        given = self._stand_in.named_in([list(args), dict(kwargs)] if input is None else input)
        return super().run(key, fn, *args, policy=policy, scope=scope, input=given, name=name, **kwargs)

    def as_recorded(self, outcome: Outcome) -> Outcome:
        """Return what the step came to as it would have with the real workspace."""
        return self._stand_in.named_by(outcome)

    def artifact(self, name: str, content: bytes | str | Any, **more: Any) -> str:
        """Check the file and return its sha256."""
        return artifacts.prepare(name, content, **more).sha256

    async def aartifact(self, name: str, content: bytes | str | Any, **more: Any) -> str:
        """Do what `artifact()` does."""
        return self.artifact(name, content, **more)

    def workspace(self) -> Path:
        """Return an empty folder: the workspace is not made, nor is what recorded calls did there."""
        return self._stand_in.folder()

    async def aworkspace(self) -> Path:
        """Do what `workspace()` does."""
        return self.workspace()

    def leave(self) -> None:
        """Remove the folder with what the step has put there."""
        self._stand_in.remove()

    def log(self, message: str, *, level: str = "info", **data: Any) -> None:
        """Do nothing."""

    def progress(self, fraction: float | None = None, note: str = "") -> None:
        """Do nothing."""

    def usage(self, **used: Any) -> None:
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
