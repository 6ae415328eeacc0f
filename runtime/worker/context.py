"""What a step sees of Roost while it runs: the implementation of `runtime.step.StepContext`."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Unpack

from runtime import artifacts
from runtime.asks import Answer
from runtime.choices import EventKind
from runtime.engine import Item
from runtime.exceptions import InvalidInput
from runtime.journal import CallPolicy
from runtime.journal.call import Scope, prepare
from runtime.jsondata import dumps
from runtime.operations import children
from runtime.step import ChildOptions, StepContext
from runtime.store import blobs
from runtime.store.values import NewArtifact, NewEvent, NewItem
from runtime.usage import Tally, checked
from runtime.worker.calls import StepCalls
from runtime.worker.entrance import Entrance
from runtime.worker.run import Run

logger = logging.getLogger("roost.step")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
MAX_NOTE = 500


class Context(StepContext):
    """Stages what the step makes; `outcomes.settle` puts it into the step's outcome."""

    __slots__ = (
        "_artifacts",
        "_children",
        "_entrance",
        "_events",
        "_run",
        "_spawned",
        "_using",
        "attempt",
        "idempotency_key",
    )

    def __init__(self, run: Run, using: str) -> None:
        self._run = run
        self._using = using
        self.attempt = run.attempt + 1
        self.idempotency_key = f"{run.claimed.id}:{run.version + 1}"
        self._artifacts: list[NewArtifact] | None = None
        self._events: list[NewEvent] | None = None
        self._children: list[NewItem] | None = None
        self._spawned = 0
        self._entrance: Entrance | None = None

    @property
    def item(self) -> Item:
        """The item as it was claimed."""
        return self._run.item

    @property
    def answers(self) -> Mapping[str, Answer]:
        """The answers that came with the claim."""
        return self._run.told.answers

    @property
    def cancelled(self) -> bool:
        """Whether the item is no longer this process's."""
        return self._run.lost

    @property
    def staged_artifacts(self) -> tuple[NewArtifact, ...]:
        """The artifacts to commit with the step; of two with one name, the later."""
        return tuple({artifact.name: artifact for artifact in self._artifacts or ()}.values())

    @property
    def staged_events(self) -> tuple[NewEvent, ...]:
        """The log lines to commit with the step."""
        return tuple(self._events or ())

    @property
    def staged_children(self) -> tuple[NewItem, ...]:
        """The children to enqueue with the step."""
        return tuple(self._children or ())

    def run(
        self,
        key: str,
        fn: Callable[..., Any],
        *args: Any,
        policy: CallPolicy | None = None,
        scope: Scope = "step",
        input: Any = None,  # noqa: A002 - the callee's own words are args and kwargs
        name: str = "",
        **kwargs: Any,
    ) -> Any:
        """Make the call through the journal, or return what it is to be awaited for."""
        calls = StepCalls(self, self._run, self._using)
        place = calls.place(key, scope)
        step = f"{place.item}:{key}" if scope == "item" else f"{place.item}:{place.version + 1}:{key}"
        call = prepare(place, fn, args, kwargs, idempotency_key=step, policy=policy, given=input, name=name)
        return calls.make(call)

    def artifact(
        self,
        name: str,
        content: bytes | str | Any,
        *,
        kind: str = "other",
        content_type: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Store the bytes now, and the artifact with the step's commit."""
        prepared = artifacts.prepare(name, content, kind=kind, content_type=content_type, metadata=metadata)
        stored = blobs.store(self._using, prepared)
        if self._artifacts is None:
            self._artifacts = []
        self._artifacts.append(stored)
        return stored.sha256

    async def aartifact(
        self,
        name: str,
        content: bytes | str | Any,
        *,
        kind: str = "other",
        content_type: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Do what `artifact()` does, in a thread."""
        return await asyncio.to_thread(
            self.artifact, name, content, kind=kind, content_type=content_type, metadata=metadata
        )

    def workspace(self) -> Path:
        """Enter the workspace; the step has it until `leave`."""
        return self._door().enter()

    async def aworkspace(self) -> Path:
        """Do what `workspace()` does, in a thread."""
        return await self._door().aenter()

    def _door(self) -> Entrance:
        if self._entrance is None:
            self._entrance = Entrance(self._run, self._using)
        return self._entrance

    def leave(self) -> None:
        """Let go of what the step had while it ran."""
        if self._entrance is not None:
            self._entrance.leave()

    def log(self, message: str, *, level: str = "info", **data: Any) -> None:
        """Keep a line in the item's history and say it to the logger `roost.step`."""
        if level not in LEVELS:
            raise InvalidInput(f"{level!r} is no log level. Use one of {', '.join(LEVELS)}.", field="level")
        text = dumps({"message": message, "level": level, **data}, what="log line")
        if self._events is None:
            self._events = []
        self._events.append(NewEvent(kind=EventKind.LOG, data=text))
        if logger.isEnabledFor(LEVELS[level]):
            claimed = self._run.claimed
            extra = {"work_item": str(claimed.id), "engine": claimed.engine, "step": self._run.version + 1}
            logger.log(LEVELS[level], "%s", message, extra=extra)

    def progress(self, fraction: float | None = None, note: str = "") -> None:
        """Tell how far the step is; the next heartbeat writes it to the lease."""
        if fraction is not None and not (isinstance(fraction, int | float) and 0 <= fraction <= 1):
            raise InvalidInput(f"A progress of {fraction!r} is not between 0 and 1.", field="fraction")
        told = {"fraction": fraction, "note": note[:MAX_NOTE], "step": self._run.version + 1}
        self._run.progress = dumps(told, what="progress")

    def usage(self, *, tokens: int = 0, cost: int | float | Decimal = 0, call: str = "") -> None:
        """Add it to what this run of the step has used, which its outcome tells."""
        checked(tokens, cost)
        if call and call not in self._run.made:
            text = f"This run of the step has made no call {call!r}. Name the key that ctx.run() was given before."
            raise InvalidInput(text, field="call")
        if call and (call in self._run.counted or not self._run.made[call]):
            return
        if call:
            self._run.counting.add(call)
        if self._run.used is None:
            self._run.used = Tally()
        self._run.used.add(tokens, cost)

    def spawn(
        self, engine: str, payload: Any = None, *, relation: str = "child", **options: Unpack[ChildOptions]
    ) -> uuid.UUID:
        """Stage a child; it is checked now and enqueued with the step's commit.

        In a step that runs again because it has asked, the children that it had spawned are enqueued already.
        """
        there = self._run.told.spawned[self._spawned : self._spawned + 1]
        self._spawned += 1
        if there:
            return there[0]
        child = children.build_child(self._run.claimed, self._run.now, engine, payload, relation, options)
        if self._children is None:
            self._children = []
        self._children.append(child)
        return child.id
