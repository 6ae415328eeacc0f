"""Engines for tests of whole processes and for measurements."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from runtime.asks import AwaitChildren, AwaitSignal, Timer
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.exceptions import RetryableError
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from tests.ledger import PADDING
from tests.ledger.models import Entry


def advance(snapshot: Snapshot, item: Item) -> Continue | Complete:
    """Count one step further, up to the payload's `steps`."""
    number = snapshot.data["n"] + 1
    if number >= item.payload["steps"]:
        return Complete({"n": number})
    return Continue({"n": number, "pad": PADDING}, delay=item.payload.get("delay", 0))


class Hop(Engine):
    """Count to `steps` without doing anything else; `sleep` seconds a step."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0, "pad": PADDING}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        if pause := item.payload.get("sleep"):
            await asyncio.sleep(pause)
        return advance(snapshot, item)


class Write(Engine):
    """Write one row a step, in the step's transaction; `sleep` seconds between the row and the commit."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0, "pad": PADDING}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        Entry.objects.create(item=item.id, number=snapshot.data["n"] + 1, pid=os.getpid())
        if pause := item.payload.get("sleep"):
            time.sleep(pause)
        return advance(snapshot, item)


class HopCompact(Hop):
    """Hop, of which only the latest snapshot is kept."""

    snapshots = "compact"


class HopSparse(Hop):
    """Hop, of which every third snapshot is kept."""

    snapshots = "interval(3)"


class WriteCompact(Write):
    """Write, of which only the latest snapshot is kept."""

    snapshots = "compact"


class HopLarge(Hop):
    """Hop with a state, and a result, of as many characters as the payload's `text`."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0, "text": item.payload["text"]}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        return grow(snapshot, item)


class WriteLarge(Write):
    """Write a row a step, with a state of as many characters as the payload's `text`."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0, "text": item.payload["text"]}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        Entry.objects.create(item=item.id, number=snapshot.data["n"] + 1, pid=os.getpid())
        return grow(snapshot, item)


class HopLargeCompact(HopLarge):
    """HopLarge, of which only the latest snapshot is kept."""

    snapshots = "compact"


def grow(snapshot: Snapshot, item: Item) -> Continue | Complete:
    """Count one step further with another text of the same length; the result tells every step."""
    number = snapshot.data["n"] + 1
    text = f"{snapshot.data['text'][2:]}{number:02}"
    if number >= item.payload["steps"]:
        return Complete({"n": number, "text": text})
    return Continue({"n": number, "text": text}, delay=item.payload.get("delay", 0))


class Stubborn(Engine):
    """Never return, and never listen."""

    step_timeout = 1.0
    retry = RetryPolicy(max_attempts=2, base=0.1, cap=0.1, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        time.sleep(3600)


class Sleepy(Engine):
    """Sleep longer than a step may."""

    step_timeout = 0.3
    retry = RetryPolicy(max_attempts=2, base=0.1, cap=0.1, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        await asyncio.sleep(3600)


class Poison(Engine):
    """Kill the process that runs it."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        await asyncio.sleep(item.payload.get("sleep", 0.05))
        os.kill(os.getpid(), signal.SIGKILL)


class Flaky(Engine):
    """Fail `failures` times at the first step, then be done."""

    retry = RetryPolicy(max_attempts=10, base=0.01, cap=0.05, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        if ctx.attempt <= item.payload["failures"]:
            raise RetryableError(f"attempt {ctx.attempt} fails")
        return Complete({"attempts": ctx.attempt})


class Watchful(Engine):
    """Sleep until cancelled, and leave a note of how it ended in the file `note`."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        note = Path(item.payload["note"])
        note.write_text("started")
        try:
            await asyncio.sleep(item.payload.get("sleep", 60))
        except asyncio.CancelledError:
            note.write_text("cancelled")
            raise
        note.write_text("finished")
        return Complete()


class Gather(Engine):
    """Spawn `kids` children, wait a moment, then for the children, then for the signal `word`; all in one step."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        kids = [ctx.spawn(item.payload["engine"], {"steps": 3}) for _ in range(item.payload["kids"])]
        ctx.ask(Timer("a moment", 0.2))
        found = ctx.ask(AwaitChildren("kids", kids))
        word = ctx.ask(AwaitSignal("word"))
        return Complete({"kids": [child["state"] for child in found.value], "word": word.value})
