"""An engine whose runs have something to tell."""

from __future__ import annotations

from typing import Any

from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.exceptions import Declined, RetryableError
from runtime.retry import RetryPolicy
from runtime.step import StepContext


class Eventful(Engine):
    """Makes `steps` steps: the second fails twice, the third leaves a file, a child and log lines."""

    retry = RetryPolicy.fixed(5, 3)

    def init_snapshot(self, item: Item) -> Any:
        return 0

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        step = snapshot.data + 1
        if step == 2 and ctx.attempt < 3:
            raise RetryableError("not yet", code="busy")
        if step == 3:
            await ctx.aartifact("report.txt", "all is well", kind="report")
            ctx.spawn("counter", {"count_to": 1})
            ctx.log("one")
            ctx.log("two")
        if step == item.payload.get("declines"):
            raise Declined("The account is closed.")
        if step == item.payload["steps"]:
            return Complete({"made": step}, label="the end")
        return Continue(step, label=f"part {step}")
