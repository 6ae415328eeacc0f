"""Engines that break one promise each."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.exceptions import Cancelled
from runtime.step import StepContext, Suspend


class Honest(Engine):
    """Counts to the payload's `to`, one recorded call a step."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        number = await ctx.run("add", add, snapshot.data["n"], 1)
        await asyncio.sleep(0)
        return Complete(number) if number >= item.payload["to"] else Continue({"n": number})


def add(one: int, other: int) -> int:
    """Be called."""
    return one + other


class Moody(Honest):
    """Begins with something else each time."""

    _numbers = itertools.count()

    def init_snapshot(self, item: Item) -> Any:
        return {"n": next(self._numbers)}


class Remembering(Honest):
    """Keeps something of the item on itself."""

    def __init__(self) -> None:
        self.seen = 0

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        self.seen += 1
        return Complete({"seen": self.seen})


class Careless(Honest):
    """Changes the snapshot that it is given."""

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        snapshot.data["n"] += 1
        return Complete(snapshot.data)


class Wild(Honest):
    """Returns what is no JSON."""

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return Continue({"seen": {1, 2}})


class Renaming(Honest):
    """Gives the same call another key each time."""

    _numbers = itertools.count()

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        await ctx.run(f"add {next(self._numbers)}", add, 1, 1)
        return Complete()


class Retelling(Honest):
    """Calls something else under the same key."""

    _numbers = itertools.count()

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return Complete(await ctx.run("add", add, 1, next(self._numbers)))


class Deaf(Honest):
    """Goes on when it is cancelled in the middle of something."""

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            return Complete("went on")
        return Complete()


class Stubborn(Honest):
    """Asks whether it should end, and does not listen."""

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        try:
            ctx.raise_if_cancelled()
        except Cancelled:
            return Complete("went on")
        return Complete()


class Impatient(Honest):
    """Does not wait for the answer that it asks for."""

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        from runtime.asks import Approval

        try:
            ctx.ask(Approval("sure"))
        except Suspend:
            return Complete("did not wait")
        return Complete()


BROKEN = {
    Moody: "begin",
    Remembering: "pure",
    Careless: "pure",
    Wild: "JSON",
    Renaming: "idempotent",
    Retelling: "idempotent",
    Deaf: "cancel",
    Stubborn: "cancel",
    Impatient: "cancel",
}
"""The promise that each breaks."""
