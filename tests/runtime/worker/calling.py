"""Engines whose steps call out through the journal, in both lanes, and what they called."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from runtime.engine import Complete, Continue, Engine, Item, Snapshot, Wait
from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from runtime.store import get_store
from runtime.worker.drain import Drain
from runtime.worker.options import WorkerOptions
from runtime.worker.stop import StopToken

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


def work() -> None:
    """Run a worker in this process, journal thread and all, until it finds nothing to do."""
    with StopToken() as stop:
        overdue = threading.Timer(20.0, stop.request)
        overdue.start()
        Drain(WorkerOptions.defaults(get_store().using, until_idle=True, grace_seconds=1.0), stop).run()
        assert not stop.requested, "the worker hangs"
        overdue.cancel()
        overdue.join()


def put(lane: str, does: Callable[..., Any], **payload: Any) -> WorkItem:
    """Enqueue an item whose steps do this."""
    STEPS["it"] = does
    return enqueue(lane, {"does": "it", **payload}, max_attempts=3)


def read(item: WorkItem) -> WorkItem:
    """Read the item as it is now."""
    return WorkItem.objects.get(pk=item.pk)


def told(item: WorkItem, kind: str) -> list[Any]:
    """Return the data of the item's events of a kind."""
    return list(Event.objects.filter(work_item=item, kind=kind).order_by("seq").values_list("data", flat=True))
