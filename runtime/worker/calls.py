"""Make the recorded calls of a step: `ctx.run`, in both lanes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from asgiref.sync import sync_to_async

from runtime import tracing
from runtime.asks import Input
from runtime.exceptions import InvalidInput, RoostError
from runtime.journal import drive
from runtime.journal.call import Call
from runtime.journal.drive import Surroundings
from runtime.journal.entries import WHOLE_RUN, Begin, Found, Place, Write
from runtime.journal.entries import Answer as Written
from runtime.jsondata import dumps
from runtime.step import StepContext
from runtime.store.guard import refusing_writes
from runtime.store.values import NewEvent
from runtime.worker.run import Recorder, Run

MOST_TOLD = 50
_UNTRACED: AbstractContextManager[None] = nullcontext()


class CallEvents:
    """What a step's recorded calls leave in its item's history, whatever the step comes to.

    A step may replay a hundred thousand calls: after the first ones of a kind, the rest are only counted.
    """

    __slots__ = ("_events", "_kept", "_more")

    def __init__(self) -> None:
        self._events: list[NewEvent] = []
        self._kept: Counter[str] = Counter()
        self._more: Counter[str] = Counter()

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Keep an event, or count it."""
        if self._kept[kind] >= MOST_TOLD:
            self._more[kind] += 1
            return
        self._kept[kind] += 1
        self._events.append(NewEvent(kind=kind, data=dumps(dict(data), what="call")))

    def events(self) -> tuple[NewEvent, ...]:
        """Return the events to append to the history."""
        rest = (NewEvent(kind=kind, data=dumps({"more": count})) for kind, count in self._more.items())
        return (*self._events, *rest)


class StepCalls(Surroundings):
    """A step as the surroundings of its calls."""

    __slots__ = ("_context", "_run", "_using")

    def __init__(self, context: StepContext, run: Run, using: str) -> None:
        self._context = context
        self._run = run
        self._using = using

    def place(self, key: str, scope: str) -> Place:
        """Return where the entry of a key is. Raises `InvalidInput`."""
        if scope not in ("step", "item"):
            raise InvalidInput(f"The scope is {scope!r}; it must be 'step' or 'item'.", field="scope")
        run = self._run
        base = run.version if scope == "step" else WHOLE_RUN
        return Place(item=run.id, base_version=base, key=key, epoch=run.claimed.epoch, version=run.version)

    def make(self, call: Call) -> Any:
        """Make the call: return its result, in an async step what is to be awaited for it."""
        if self._run.is_async:
            return self._amake(call)
        with self._alone(call), _span(call):
            return drive.run(call, self)

    async def _amake(self, call: Call) -> Any:
        """Make the call in a task of its own: the step may end by another error while it is made."""
        with self._alone(call), _span(call):
            task = asyncio.ensure_future(drive.arun(call, self))
            self._run.in_flight.add(task)
            task.add_done_callback(self._run.in_flight.discard)
            return await task

    @contextmanager
    def _alone(self, call: Call) -> Iterator[None]:
        making = self._run.calling
        key = (call.place.base_version, call.key)
        if key in making:
            raise InvalidInput(f"The key {call.key!r} is used by two calls at once; give each its own.", field="key")
        making.add(key)
        try:
            yield
        finally:
            making.discard(key)

    def write(self, write: Write) -> Found:
        return self._noted(write, self._journal.write(write))

    async def awrite(self, write: Write) -> Found:
        return self._noted(write, await self._journal.awrite(write))

    def _noted(self, write: Write, found: Found) -> Found:
        """Remember whether the call is made by this run of the step."""
        if isinstance(write, Begin):
            made = self._run.made
            made[write.place.key] = made.get(write.place.key, False) or found.answer is Written.WRITTEN
        return found

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        if self._journal.own_thread:
            # In a test, whose transaction another thread would not see, and on SQLite would wait for in vain.
            return await sync_to_async(work)()
        return await super().in_thread(work)

    @property
    def _journal(self) -> Recorder:
        if self._run.journal is None:
            raise RoostError("This step runs where there is no journal: ctx.run() cannot be used.")
        return self._run.journal

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        if self._run.calls is None:
            self._run.calls = CallEvents()
        self._run.calls.tell(kind, data)
        if tracing.active is not None:
            tracing.active.note(kind, data)

    def ask(self, ask: Input) -> Any:
        asking = getattr(self._context, "ask", None)
        return super().ask(ask) if asking is None else asking(ask)

    @property
    def cancelled(self) -> bool:
        return self._run.lost

    def guard(self) -> AbstractContextManager[None]:
        return refusing_writes(self._using)


def _span(call: Call) -> AbstractContextManager[Any]:
    """Return the span of a call, where steps are traced."""
    return _UNTRACED if tracing.active is None else tracing.active.call(call.key, call.name)
