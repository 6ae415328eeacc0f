"""An engine that is stuck until the world outside is mended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.engine import Complete, Continue, Decision, Engine, Item, Snapshot
from runtime.exceptions import PermanentError

STEPS = 5
PAUSE_SECONDS = 0.3


class Gate(Engine):
    """{"file": path}: goes on only where that file is, and then counts to `STEPS`."""

    engine_id = "gate"

    def init_snapshot(self, item: Item) -> dict[str, int]:
        """Start at 0."""
        return {"count": 0}

    async def step(self, snapshot: Snapshot, item: Item) -> Decision:
        """Go one step, or fail for good."""
        if not Path(item.payload["file"]).exists():
            raise PermanentError("The gate is shut.", code="shut")
        count: int = snapshot.data["count"] + 1
        state: dict[str, Any] = {"count": count}
        return Complete(state, state, "through") if count == STEPS else Continue(state, PAUSE_SECONDS, f"step {count}")
