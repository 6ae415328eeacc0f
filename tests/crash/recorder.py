"""Learn from an undisturbed run which points a scenario passes, and what could happen there."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from django.db import connections

from runtime import faults


@dataclass(slots=True)
class Passed:
    """How often a point was passed, and how its thread's connections were at the first time."""

    times: int = 0
    connected: bool = False
    """There was a connection that could be lost."""
    in_transaction: bool = False
    """The thread was in the middle of a transaction: what somebody else writes now may have to wait for it."""
    writing: bool = False
    """It held SQLite's only write lock, or the rows of others."""


@dataclass(slots=True)
class Recorder:
    """Follows a run in the place of a plan."""

    passed: dict[str, Passed] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def reach(self, point: str) -> None:
        """Take note."""
        opened = [one for one in connections.all(initialized_only=True) if one.connection is not None]
        inside = [one for one in opened if one.in_atomic_block]
        with self._guard:
            seen = self.passed.setdefault(point, Passed())
            seen.times += 1
            if seen.times == 1:
                seen.connected, seen.in_transaction = bool(opened), bool(inside)
                seen.writing = bool(inside) and not (inside[0].vendor == "postgresql" and point == "commit.before")

    def in_order(self) -> list[str]:
        """Return the points that were passed, in the order in which the runtime names them."""
        return [point for point in faults.POINTS if point in self.passed]
