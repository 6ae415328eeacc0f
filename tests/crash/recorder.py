"""Learn from an undisturbed run which points a scenario passes, and what could happen there."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from django.db import connections

from runtime import faults


@dataclass(slots=True)
class Passed:
    """How a point was passed, and how its thread's connections were each time.

    `connected` says that there was a connection that could be lost; `writing` that the thread held SQLite's only write
    lock, or the rows of others: what somebody else writes then has to wait for it.
    """

    connected: bool = False
    writing: list[bool] = field(default_factory=list)

    @property
    def times(self) -> int:
        """How often it was passed."""
        return len(self.writing)


@dataclass(slots=True)
class Recorder:
    """Follows a run in the place of a plan."""

    passed: dict[str, Passed] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, point: str) -> None:
        """Take note."""
        opened = [one for one in connections.all(initialized_only=True) if one.connection is not None]
        inside = [one for one in opened if one.in_atomic_block]
        writing = bool(inside) and not (inside[0].vendor == "postgresql" and point == "commit.before")
        with self._guard:
            seen = self.passed.setdefault(point, Passed(connected=bool(opened)))
            seen.writing.append(writing)

    def in_order(self) -> list[str]:
        """Return the points that were passed, in the order in which the runtime names them."""
        return [point for point in faults.POINTS if point in self.passed]
