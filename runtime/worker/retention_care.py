"""Prune what has been kept long enough, a little now and then, beside the heartbeat."""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable

from django.db import DatabaseError, connections

from runtime.exceptions import InvalidInput
from runtime.operations.prune import finish, prune, prune_resources, prune_workers
from runtime.operations.prune_history import prune_history
from runtime.operations.prune_signals import prune_signals
from runtime.store.going import Place

logger = logging.getLogger("roost.retention")

EVERY_SECONDS = 600.0
AGAIN_SECONDS = 15.0
"""Until the next round when the last one ran out of time: less than half of the time goes into it."""
ROUND_SECONDS = 5.0


class RetentionCare:
    """Starts a round in a thread of its own every ten minutes, sooner while there is more to remove than one takes.

    What has ended, the histories of items that stay, and the names of signals are gone through from where the last
    round came to, so that nothing which has to stay keeps others from being looked at. Any number of workers may do so
    at once: they pass over what another one is at.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._due_at = time.monotonic() + EVERY_SECONDS * random.random()  # noqa: S311 - spreads load
        self._place: Place | None = None
        self._after: uuid.UUID | None = None
        self._mailbox = 0
        self._thread: threading.Thread | None = None

    def start_if_due(self) -> None:
        """Start a round if it is time. Returns at once."""
        if time.monotonic() < self._due_at or (self._thread is not None and self._thread.is_alive()):
            return
        self._due_at = time.monotonic() + EVERY_SECONDS
        self._thread = threading.Thread(target=self._round, name="roost-retention", daemon=True)
        self._thread.start()

    def _round(self) -> None:
        try:
            # One that fails keeps none of the others from being done.
            stages = (self._begun, self._items, self._workers, self._resources, self._history, self._signals)
            more = [self._attempted(stage) for stage in stages]
            if any(more):
                self._due_at = time.monotonic() + AGAIN_SECONDS * (0.5 + random.random())  # noqa: S311 - spreads load
        finally:
            connections.close_all()

    def _attempted(self, stage: Callable[[], bool]) -> bool:
        try:
            return stage()
        except (DatabaseError, InvalidInput) as error:
            logger.warning("what has been kept long enough could not be pruned: %s", error)
        except Exception:
            logger.exception("pruning failed; it is tried again in %d s", EVERY_SECONDS)
        connections[self._using].close()
        return False

    def _begun(self) -> bool:
        return finish(seconds=ROUND_SECONDS, using=self._using).more

    def _items(self) -> bool:
        done = prune(seconds=ROUND_SECONDS, after=self._place, actor="retention", using=self._using)
        self._place = done.place
        return done.more

    def _workers(self) -> bool:
        prune_workers(using=self._using)
        return False

    def _resources(self) -> bool:
        prune_resources(using=self._using)
        return False

    def _history(self) -> bool:
        trimmed = prune_history(after=self._after, seconds=ROUND_SECONDS, using=self._using)
        self._after = trimmed.after
        return trimmed.more

    def _signals(self) -> bool:
        emptied = prune_signals(after=self._mailbox, seconds=ROUND_SECONDS, using=self._using)
        self._mailbox = emptied.after
        return emptied.more
