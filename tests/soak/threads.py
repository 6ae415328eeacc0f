"""Do something again and again beside the others, and outlive the database."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections

from runtime.exceptions import RoostError

AWAY = (DatabaseError, InterfaceError, RoostError)
"""What is raised while the database is away, or somebody else was faster."""
Result = TypeVar("Result")
logger = logging.getLogger("tests.soak")


class Repeated(threading.Thread):
    """Calls `work` every so many seconds until ended; an error that is no outage is raised by `end`."""

    def __init__(self, name: str, seconds: float, work: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self._seconds = seconds
        self._work = work
        self._ending = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        """Work until ended."""
        while not self._ending.wait(self._seconds):
            try:
                self._work()
            except AWAY as error:
                logger.info("%s met %r", self.name, error)
                connections.close_all()
            except BaseException as error:  # noqa: BLE001 - raised by end()
                self._failure = error
                break
        connections.close_all()

    def end(self) -> None:
        """Stop, wait, and raise what the work raised."""
        self._ending.set()
        self.join(60)
        if self._failure is not None:
            raise self._failure


def insist(work: Callable[[], Result], seconds: float) -> Result:
    """Do something that must be possible now, again while the database is away."""
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            return work()
        except AWAY:
            connections.close_all()
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
