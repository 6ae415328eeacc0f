"""Let a step into its item's workspace, and out again when the step has ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

from runtime.exceptions import WorkspaceRefused
from runtime.worker.run import Run
from runtime.workspaces import places
from runtime.workspaces.making import Holding, enter


class Entrance:
    """The workspace of one run of a step: entered at first use, left at its end."""

    def __init__(self, run: Run, using: str) -> None:
        self._run = run
        self._using = using
        self._holding: Holding | None = None
        self._entering: asyncio.Task[Holding] | None = None

    def enter(self) -> Path:
        """Return the workspace, waiting for it in this thread."""
        if self._holding is None:
            self._holding = self._enter()
        return self._holding.path

    async def aenter(self) -> Path:
        """Do what `enter()` does without blocking the event loop, once for all tasks of the step that ask."""
        if self._holding is None:
            if self._entering is None or _is_spent(self._entering):
                self._entering = asyncio.ensure_future(asyncio.to_thread(self._enter))
            self._holding = await asyncio.shield(self._entering)
        return self._holding.path

    def leave(self) -> None:
        """Let the next one in; after the making, if a cancelled step has left that under way."""
        if self._holding is not None:
            self._holding.close()
        elif self._entering is not None:
            self._entering.add_done_callback(_close)

    def _enter(self) -> Holding:
        run = self._run
        wanted = run.engine.workspace_for(run.item)
        if wanted is None:
            raise WorkspaceRefused(
                f"The engine {run.claimed.engine!r} declares no workspace for item {run.id}. Set its `workspace`, or "
                f"return one from `workspace_for`."
            )
        place = places.place(run.claimed.namespace, run.id)
        return enter(wanted, place, epoch=run.claimed.epoch, home=places.home(self._using))


def _is_spent(entering: asyncio.Task[Holding]) -> bool:
    """Say whether it ended with nothing to hold. One that a cancelled wait has left behind may have."""
    return entering.done() and (entering.cancelled() or entering.exception() is not None)


def _close(entering: asyncio.Task[Holding]) -> None:
    if not entering.cancelled() and entering.exception() is None:
        entering.result().close()
