"""An engine that is stuck until the world outside is mended."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from runtime.engine import Complete, Continue, Decision, Engine, Item, Snapshot
from runtime.exceptions import PermanentError
from runtime.step import StepContext

STEPS = 5
PAUSE_SECONDS = 0.3


class Gate(Engine):
    """{"file": path}: goes on only where that file is, and then counts to `STEPS`; with "waits", waits for it."""

    engine_id = "gate"

    def init_snapshot(self, item: Item) -> dict[str, int]:
        """Start at 0."""
        return {"count": 0}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Decision:
        """Go one step, or fail for good."""
        file = Path(item.payload["file"])
        while item.payload.get("waits") and not file.exists():
            ctx.progress(0.42, "before the gate")
            await asyncio.sleep(PAUSE_SECONDS)
        if not file.exists():
            raise PermanentError("The gate is shut.", code="shut")
        count: int = snapshot.data["count"] + 1
        state: dict[str, Any] = {"count": count}
        return Complete(state, state, "through") if count == STEPS else Continue(state, PAUSE_SECONDS, f"step {count}")
