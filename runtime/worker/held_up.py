"""Outcomes that a row somebody keeps locked has held up: they are written when the row is free.

What a step came to may have cost minutes, or money. So the run stays held, with its lease renewed, until its outcome is
written or the item is taken away; meanwhile the pump claims and commits for the others.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from runtime.store.values import Outcome
from runtime.worker.committer import BLOCKED, Committer
from runtime.worker.run import Run

AGAIN_SECONDS = 0.5
"""Between two looks whether the rows are free."""
SPARED = 4
"""So many times as long as a look took, the next one is put off: it may have waited for a row that cannot be seen."""

Written = tuple[Run, Outcome, str | None]


class HeldUp:
    """The outcomes of one pump that are to be written later. At most one of a run, whose next step has not begun."""

    def __init__(self, committer: Committer, shape: Callable[[Run, Outcome], Outcome]) -> None:
        self._committer = committer
        self._shape = shape
        self._waiting: deque[tuple[Run, Outcome]] = deque()
        self._look_at = 0.0

    def add(self, run: Run, outcome: Outcome) -> None:
        """Keep an outcome until its item's row is free."""
        if not self._waiting:
            self._look_at = time.monotonic() + AGAIN_SECONDS
        self._waiting.append((run, outcome))

    def wait(self, seconds: float) -> float:
        """Return how long the pump may sleep that would sleep for so many seconds."""
        return min(seconds, max(self._look_at - time.monotonic(), 0.0)) if self._waiting else seconds

    def write(self) -> list[Written]:
        """Write those whose rows are free now; return what became of them, as a commit tells it.

        What an item came to that was taken away meanwhile is not written: it is told as fenced off (None). An outcome
        is shaped anew, since the worker may have been told to stop. Raises `DatabaseAway`.
        """
        began = time.monotonic()
        if not self._waiting or began < self._look_at:
            return []
        free = self._committer.free([outcome for _, outcome in self._waiting])
        written: list[Written] = []
        for _ in range(len(self._waiting)):
            run, outcome = self._waiting.popleft()
            if run.lost:
                written.append((run, outcome, None))
            elif run.id not in free:
                self._waiting.append((run, outcome))
            else:
                outcome = self._shape(run, outcome)
                state = self._committer.commit([outcome]).get(run.id)
                if state == BLOCKED:
                    self._waiting.append((run, outcome))
                    break
                written.append((run, outcome, state))
        now = time.monotonic()
        self._look_at = now + AGAIN_SECONDS + SPARED * (now - began)
        return written
