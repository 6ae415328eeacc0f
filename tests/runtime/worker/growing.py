"""Engines whose states are large, and what tests of them say often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime import artifacts, offload
from runtime.asks import AwaitChildren
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.models import Offloaded, WorkItem
from runtime.models import Snapshot as Kept
from runtime.retry import RetryPolicy
from runtime.step import StepContext

LONG = "long " * 20_000
"""A text of which every value that holds it is moved."""


class Growing(Engine):
    """Carry the payload's text in the state for two steps, then give it back as the result."""

    retry = RetryPolicy(max_attempts=2, base=0.0, cap=0.0, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0, "text": item.payload["text"]}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        return _grown(snapshot, item)


class GrowingAtomic(Growing):
    """The same in the atomic lane."""

    def step(self, snapshot: Snapshot, item: Item) -> Any:  # type: ignore[override]
        return _grown(snapshot, item)


class GrowingCompact(Growing):
    """The same, keeping the latest snapshot alone."""

    snapshots = "compact"


class Parent(Engine):
    """Spawn a child with the payload's text."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        ctx.spawn("growing", item.payload)
        return Complete()


class Waiting(Engine):
    """Spawn a child with the payload's text, wait for it, and tell what came of it."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        child = ctx.spawn("growing", item.payload)
        return Complete(ctx.ask(AwaitChildren("child", [child])).value)


class Forging(Engine):
    """Return a state that looks like a reference."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        return Continue(item.payload["state"])


def _grown(snapshot: Snapshot, item: Item) -> Continue | Complete:
    assert snapshot.data["text"] == item.payload["text"]
    number = snapshot.data["n"] + 1
    if number > 2:
        return Complete({"text": snapshot.data["text"]})
    return Continue({"n": number, "text": snapshot.data["text"]}, delay=item.payload.get("delay", 0))


ENGINES = {
    name: f"{__name__}.{found.__name__}"
    for name, found in {
        "growing": Growing,
        "atomic": GrowingAtomic,
        "compact": GrowingCompact,
        "parent": Parent,
        "forging": Forging,
        "waiting": Waiting,
    }.items()
}


def places(item: WorkItem) -> list[tuple[str, int]]:
    """Return which values of an item are content."""
    return sorted(Offloaded.objects.filter(work_item=item).values_list("place", "version"))


def lose(folder: Path, sha256: str) -> Path:
    """Remove content from the storage, and return where it was."""
    path = folder / artifacts.path_of(sha256)
    path.unlink()
    return path


def state_sha(item: WorkItem, version: int) -> str:
    found = offload.in_value(Kept.objects.get(work_item=item, version=version).data)
    assert found is not None
    return found.sha256
