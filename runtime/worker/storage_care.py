"""Sweep the artifact storage now and then, beside the heartbeat: a storage that hangs must not cost a lease."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from django.db import DatabaseError, connections

from runtime.exceptions import StorageUnavailable
from runtime.store import blobs

logger = logging.getLogger("roost.artifacts")

EVERY_SECONDS = 600.0
BATCH = 100
SWEEP_SECONDS = 30.0
"""A sweep that finds more begins no other batch after so long."""


class StorageCare:
    """Starts a sweep in a thread of its own every ten minutes, unless the last one is still at it.

    Each sweep removes orphans, from where the last one came to, and looks for strays in one of the storage's 256
    folders, drawn by lot.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._due_at = time.monotonic() + EVERY_SECONDS * random.random()  # noqa: S311 - spreads load
        self._place: blobs.Place | None = None
        self._thread: threading.Thread | None = None

    def start_if_due(self) -> None:
        """Start a sweep if it is time. Returns at once."""
        if time.monotonic() < self._due_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_at = time.monotonic() + EVERY_SECONDS
        self._thread = threading.Thread(target=self._sweep, name="roost-storage", daemon=True)
        self._thread.start()

    def _sweep(self) -> None:
        folder = f"{random.randrange(256):02x}"  # noqa: S311 - spreads load
        try:
            # A storage that cannot be listed is swept all the same.
            self._attempted(lambda: blobs.adopt_strays(self._using, limit=BATCH, folders=[folder]))
            self._attempted(lambda: self._sweep_orphans(time.monotonic() + SWEEP_SECONDS))
        finally:
            connections.close_all()

    def _attempted(self, stage: Callable[[], object]) -> None:
        try:
            stage()
        except (DatabaseError, StorageUnavailable) as error:
            logger.warning("the artifact storage could not be swept: %s", error)

    def _sweep_orphans(self, until: float) -> None:
        more = True
        while more and time.monotonic() < until:
            self._place = blobs.sweep(self._using, limit=BATCH, after=self._place).place
            more = self._place is not None
