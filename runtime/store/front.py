"""Where due work begins, when what is done lies in front of it. Pure; monotonic seconds of one process.

While somebody keeps a transaction open, nothing that was done since can leave the indexes, and each look for due work
steps over all of it, from the oldest on: looks grow slower the longer that goes on. So once looks are slow, a claim
begins behind what this process claimed last, priority by priority, and looks at everything only now and then.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable

SLOW_SECONDS = 0.005
"""A claim that took longer may have stepped over what is done."""
LOOKS_APART = 50
"""Whole looks take no more than this part of the time, as long as one takes less than a fiftieth of MOST_SECONDS."""
MOST_SECONDS = 30.0
"""Due work that stands before a beginning (committed late, moved to another priority) is found after so long."""
MOST_PRIORITIES = 32

Begin = tuple[dt.datetime, uuid.UUID]
"""Due time and id, in the order of a claim within a priority."""


class Front:
    """The beginnings of one process, by priority. Forgotten as soon as looking at everything is quick again."""

    def __init__(self) -> None:
        self.begins: dict[int, Begin] = {}
        self._whole_at = 0.0

    def is_whole(self, now: float) -> bool:
        """Say whether to look at everything."""
        return now >= self._whole_at

    def looked(self, now: float, seconds: float) -> None:
        """Remember that everything was looked at, and how long it took."""
        if seconds <= SLOW_SECONDS:
            self.begins.clear()
            self._whole_at = 0.0
        else:
            self._whole_at = now + min(LOOKS_APART * seconds, MOST_SECONDS)

    def overlooked(self, claimed: Iterable[tuple[int, dt.datetime, uuid.UUID]]) -> None:
        """Begin behind those of these that stood before the beginnings: more may stand there."""
        before: dict[int, Begin] = {}
        for priority, run_at, item in claimed:
            begin = self.begins.get(priority)
            if begin is not None and (run_at, item) < begin:
                before[priority] = max(before.get(priority, (run_at, item)), (run_at, item))
        self.begins |= before

    def took(self, claimed: Iterable[tuple[int, dt.datetime, uuid.UUID]]) -> None:
        """Begin behind these, each a priority, a due time and an id."""
        for priority, run_at, item in claimed:
            begin = self.begins.get(priority)
            if begin is None or begin < (run_at, item):
                self.begins[priority] = (run_at, item)
        if len(self.begins) > MOST_PRIORITIES:
            self.begins.clear()
