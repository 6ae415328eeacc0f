"""Engines that work in a workspace: `source` and `steps` are the payload's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.step import StepContext
from runtime.workspaces import Workspace


class Writing(Engine):
    """Leave a line in `lines.txt` with each step; the result is the path and what it holds."""

    def init_snapshot(self, item: Item) -> Any:
        return {"n": 0}

    def workspace_for(self, item: Item) -> Workspace | None:
        if "source" not in item.payload:
            return None
        return Workspace(source=item.payload["source"], ref="main", keep=item.payload.get("keep", "until_ended"))

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return self.go_on(snapshot, item, ctx.workspace())

    def go_on(self, snapshot: Snapshot, item: Item, folder: Path) -> Any:
        number = snapshot.data["n"] + 1
        with (folder / "lines.txt").open("a") as file:
            file.write(f"{number}\n")
        if number < item.payload["steps"]:
            return Continue({"n": number}, delay=item.payload.get("delay", 1))
        return Complete([str(folder), (folder / "lines.txt").read_text()], {"n": number})


class AsyncWriting(Writing):
    """The same in the async lane."""

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return self.go_on(snapshot, item, await ctx.aworkspace())


class Looking(Writing):
    """Give the path to a recorded call, and keep it in the state and the result."""

    def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        folder = str(ctx.workspace())
        seen = ctx.run("look", os.listdir, folder)
        return Complete([folder, seen], {"n": 1, "folder": folder})
