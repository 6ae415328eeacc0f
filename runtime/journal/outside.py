"""Recorded calls outside a step: in a script, a command, a test; without Roost's tables."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from runtime.journal import CallPolicy, drive
from runtime.journal.call import Call, prepare
from runtime.journal.entries import Found, Place, Write
from runtime.journal.memory import MemoryJournal

_RUNS = uuid.UUID("6b1f0c52-6f0e-4b0e-9b64-3d1c3a6d9f11")


class _Outside(drive.Surroundings):
    def __init__(self, store: MemoryJournal) -> None:
        self._store = store

    def write(self, write: Write) -> Found:
        return self._store.write(write)

    async def awrite(self, write: Write) -> Found:
        return await asyncio.to_thread(self._store.write, write) if self._store.blocks else self._store.write(write)


class Journal:
    """The calls of one run, named by whoever makes it: the same name later finds what was recorded.

    `run` and `arun` do what `ctx.run` does in a step, sync and async, with the same errors and policies.
    """

    def __init__(self, store: MemoryJournal, run_id: str | uuid.UUID) -> None:
        self.store = store
        self.run_id = run_id
        self._item = run_id if isinstance(run_id, uuid.UUID) else uuid.uuid5(_RUNS, run_id)
        self._here = _Outside(store)

    def run(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        policy: CallPolicy | None = None,
        input: Any = None,  # noqa: A002 - as in a step
        name: str = "",
        **kwargs: Any,
    ) -> Any:
        """Make the call, or return what was recorded of it."""
        return drive.run(self._prepare(key, fn, args, kwargs, policy, input, name), self._here)

    async def arun(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        policy: CallPolicy | None = None,
        input: Any = None,  # noqa: A002 - as in a step
        name: str = "",
        **kwargs: Any,
    ) -> Any:
        """Do what `run()` does in an event loop; `fn` may be async."""
        return await drive.arun(self._prepare(key, fn, args, kwargs, policy, input, name), self._here)

    def reset(self, key: str) -> None:
        """Let a call that failed, or is in doubt, be made again. Raises `Conflict` for any other."""
        self.store.forget(self.place(key))

    def place(self, key: str) -> Place:
        """Return where the entry of a key is."""
        return Place(item=self._item, base_version=0, key=key)

    def _prepare(
        self,
        key: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        policy: CallPolicy | None,
        given: Any,
        name: str,
    ) -> Call:
        own = f"{self.run_id}:{key}"
        return prepare(self.place(key), fn, args, kwargs, idempotency_key=own, policy=policy, given=given, name=name)
