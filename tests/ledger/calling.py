"""An engine that calls out, for tests of whole processes: what is outside is a file of one line a call."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from runtime.engine import Complete, Engine, Item, Snapshot
from runtime.journal import CallPolicy
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from tests.ledger.models import Entry


class Caller(Engine):
    """Call out `calls` times in one step: each call writes its idempotency key into the file `outside`.

    The process that makes call `die` kills itself `inside` it, having called, or in the step `after` it; once. Sleeps
    `sleep` seconds in the step before its end.
    """

    retry = RetryPolicy(max_attempts=3, base=0.01, cap=0.01, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        told = item.payload
        policy = CallPolicy(in_doubt=told.get("in_doubt", "retry"), base=0.01)
        for number in range(told["calls"]):
            await ctx.run(f"call {number}", call_out, told, number, policy=policy)
            die(told, number, "after")
        time.sleep(told.get("sleep", 0))
        return Complete(told["calls"])


class AtomicCaller(Caller):
    """The same in the atomic lane."""

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        told = item.payload
        policy = CallPolicy(in_doubt=told.get("in_doubt", "retry"), base=0.01)
        for number in range(told["calls"]):
            ctx.run(f"call {number}", call_out, told, number, policy=policy)
            die(told, number, "after")
        return Complete(told["calls"])


class LongCaller(Engine):
    """Make one call that lasts until the file `outside`.go is there: a model that takes its time."""

    retry = RetryPolicy(max_attempts=3, base=0.01, cap=0.01, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return Complete({"said": await ctx.run("model", ask_slowly, item.payload["outside"])})


class AtomicLongCaller(LongCaller):
    """The same in the atomic lane, which holds a transaction meanwhile."""

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        Entry.objects.filter(item=item.id).exists()
        said = ctx.run("model", ask_slowly_in_thread, item.payload["outside"])
        Entry.objects.create(item=item.id, number=1, pid=os.getpid())
        return Complete({"said": said})


class Ticker(Engine):
    """Make as many quick calls as the payload's `calls`, `batch` in each step: for measurements."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        number, until = snapshot.data["n"], min(snapshot.data["n"] + item.payload["batch"], item.payload["calls"])
        while number < until:
            number += await ctx.run(str(number), tick)
        return Complete(number) if number == item.payload["calls"] else snapshot.next({"n": number})


async def tick() -> int:
    """Do next to nothing."""
    return 1


async def ask_slowly(outside: str, *, idempotency_key: str) -> str:
    """Note the question, and answer when the file says so."""
    note_question(outside, idempotency_key)
    while not Path(f"{outside}.go").exists():
        await asyncio.sleep(0.02)
    return "yes"


def ask_slowly_in_thread(outside: str, *, idempotency_key: str) -> str:
    """Do so without an event loop."""
    note_question(outside, idempotency_key)
    while not Path(f"{outside}.go").exists():
        time.sleep(0.02)
    return "yes"


def note_question(outside: str, idempotency_key: str) -> None:
    """Write one line for each question."""
    with Path(outside).open("a") as file:
        file.write(f"{idempotency_key}\n")


def call_out(told: Any, number: int, *, idempotency_key: str) -> int:
    """Have an effect outside, and die in the middle of it if told so."""
    with Path(told["outside"]).open("a") as outside:
        outside.write(f"{idempotency_key}\n")
    die(told, number, "inside")
    return number


def die(told: Any, number: int, where: str) -> None:
    """Kill this process, once, if this is the place."""
    if told.get("where") != where or told.get("die") != number:
        return
    once = Path(told["outside"] + ".died")
    try:
        once.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
