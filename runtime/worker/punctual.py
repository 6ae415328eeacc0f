"""Fire schedules on time, beside the heartbeat."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING

from django.db import DatabaseError, connections

from runtime.operations import firing

if TYPE_CHECKING:
    from runtime.worker.drain import Drain

logger = logging.getLogger("roost.schedules")

LOOK_SECONDS = 5.0
"""A schedule that was set is known to a worker after so long at the latest, with its first time before that missed by
no more; a notice of the change usually comes at once."""


class Punctual:
    """Looks which schedules are due, and sleeps until the next one is.

    Firing runs an engine's own checks of its payload, so it happens in a thread of its own: one that hangs must not
    cost a lease. Any number of workers do this; the database decides who fires.
    """

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        self._look_at = time.monotonic()
        self._thread: threading.Thread | None = None

    def look_now(self) -> None:
        """Look at the next occasion: somebody has set a schedule."""
        self._look_at = 0.0

    @property
    def firing(self) -> bool:
        """Whether schedules are being fired here."""
        return self._thread is not None and self._thread.is_alive()

    def fire_if_due(self) -> None:
        """Look, if it is time for that, and start a thread that fires what is due. Returns at once."""
        if time.monotonic() < self._look_at or self.firing:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        ripe, seconds = firing.outlook(self._drain.store, self._drain.engines)
        if seconds is not None:
            self._look_at = min(self._look_at, time.monotonic() + seconds)
        if ripe:
            self._thread = threading.Thread(target=self._fire, args=[ripe], name="roost-schedules", daemon=True)
            self._thread.start()

    def _fire(self, schedules: Sequence[uuid.UUID]) -> None:
        try:
            firing.fire(self._drain.store, schedules)
        except DatabaseError as error:
            logger.warning("schedules could not be fired; they will be: %s", error)
        except Exception:
            logger.exception("schedules could not be fired; they will be")
        finally:
            connections.close_all()
