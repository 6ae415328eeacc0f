"""Engines whose steps call out through the journal, in both lanes, and what they called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from runtime.engine import Complete, Continue, Engine, Item, Snapshot, StepContext, Wait
from runtime.retry import RetryPolicy

STEPS: dict[str, Callable[..., Any]] = {}
"""What steps do, by the payload's name: a test puts it here."""


class Calling(Engine):
    """Do what the test says; the first attempts fail after it where `fails` says so."""

    retry = RetryPolicy(max_attempts=3, base=0.0, cap=0.0, jitter=0.0)
    called: ClassVar[list[Any]] = []
    """The calls that the outside world has seen."""

    def init_snapshot(self, item: Item) -> Any:
        return {"got": []}

    @staticmethod
    def end(snapshot: Snapshot, item: Item, ctx: StepContext, result: Any) -> Any:
        """Fail, or go on with the result, until there are as many as the payload's `steps`."""
        if ctx.attempt <= item.payload.get("fails", 0):
            raise ValueError("after the call")
        if isinstance(result, Wait):
            return result
        got = [*snapshot.data["got"], result]
        return Complete(got) if len(got) >= item.payload.get("steps", 1) else Continue({"got": got})


class AsyncCalling(Calling):
    """In the async lane."""

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        result = STEPS[item.payload["does"]](ctx)
        if asyncio.iscoroutine(result):
            result = await result
        return self.end(snapshot, item, ctx, result)


class AtomicCalling(Calling):
    """In the atomic lane."""

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return self.end(snapshot, item, ctx, STEPS[item.payload["does"]](ctx))


def note(what: Any) -> Any:
    """Be the outside world: note the call, and answer with it."""
    Calling.called.append(what)
    return what
