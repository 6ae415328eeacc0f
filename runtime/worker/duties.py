"""A thread of a worker that does what is due, turn by turn, beside the pump."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from django.db import DatabaseError, connections

logger = logging.getLogger("roost.worker")

TICK_SECONDS = 0.25
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Return seconds that go on while the host is suspended, where the system has a clock for that."""
    return time.clock_gettime(_CLOCK) if _CLOCK is not None else time.monotonic()


class Duties(threading.Thread):
    """Does its duties on a connection of its own until it is stopped. Each decides by itself whether it is due."""

    def __init__(self, name: str, using: str) -> None:
        super().__init__(name=name, daemon=True)
        self._using = using
        self._duties: Sequence[Callable[[], object]] = ()
        self._wake = threading.Event()
        self._ending = threading.Event()

    def stop(self) -> None:
        """End the thread; one that is inside a long statement ends after it."""
        self._ending.set()
        self._wake.set()
        self.join(timeout=2.0)

    def run(self) -> None:
        """Do what is due, until stopped. A database error costs a turn, never the thread."""
        while not self._ending.is_set():
            for duty in self._duties:
                if self._ending.is_set():
                    break
                try:
                    duty()
                except DatabaseError as error:
                    logger.warning("%s: the database refused: %s", self.name, error)
                    connection = connections[self._using]
                    lost = not connection.is_usable()
                    connection.close()
                    self._refused(lost=lost)
                except Exception:
                    logger.exception("%s failed; going on", self.name)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()
        connections.close_all()

    def _refused(self, *, lost: bool) -> None:
        """Know that the database refused a duty, or was `lost`."""
