"""What one process holds: runs by the lease each was claimed under.

An item may be here more than once. Who takes it away from this worker puts it back into the queue, from where this
worker may claim it again before the old step has ended, or has been told. The old run stays until its step ends, so
that the watchdog sees it and its room counts; whatever it comes to is refused.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator

from runtime.store.values import Held
from runtime.worker.run import Run


class Runs(Collection[Run]):
    """The runs of one process. The pump changes them; any thread may look."""

    def __init__(self) -> None:
        self._held: dict[Held, Run] = {}
        self._latest: dict[uuid.UUID, Run] = {}

    def add(self, run: Run) -> Run | None:
        """Take note of a run that was just claimed; return the run before it of the same item, if it is still here."""
        earlier = self._latest.get(run.id)
        self._held[run.held] = run
        self._latest[run.id] = run
        return earlier

    def drop(self, run: Run) -> None:
        """Forget a run, and no other of its item."""
        self._held.pop(run.held, None)
        if self._latest.get(run.id) is run:
            del self._latest[run.id]

    def clear(self) -> None:
        """Forget all."""
        self._held.clear()
        self._latest.clear()

    def get(self, held: Held) -> Run | None:
        """Return the run of this lease."""
        return self._held.get(held)

    def has_item(self, item: uuid.UUID) -> bool:
        """Say whether a run of the item is here that none has come after."""
        return item in self._latest

    def is_outrun(self, run: Run) -> bool:
        """Say whether the item was claimed here again after this run, and that claim's run is still here."""
        return self._latest.get(run.id, run) is not run

    def __contains__(self, run: object) -> bool:
        return isinstance(run, Run) and self._held.get(run.held) is run

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)
