"""Go once through what may go, past what cannot."""

from __future__ import annotations

import logging
import uuid
from collections import Counter, deque
from dataclasses import replace
from itertools import takewhile

from django.db import InterfaceError, OperationalError

from runtime.exceptions import RoostError
from runtime.store import going, retention
from runtime.store.going import Place, Wanted
from runtime.store.retention import Taken
from runtime.store.transactions import LOCK_NOT_AVAILABLE, sqlstate

logger = logging.getLogger("roost.retention")

QUERY_CANCELED = "57014"
"""A statement ran into its timeout."""


def stands_alone(error: Exception) -> bool:
    """Say whether an error may be that of some items alone, so that others can go on; else the database is at fault."""
    if isinstance(error, OperationalError):
        return sqlstate(error) in {QUERY_CANCELED, LOCK_NOT_AVAILABLE}
    return not isinstance(error, InterfaceError | RoostError)


class PruneRound:
    """Looks at every ended item once, from a place on, and removes those that may go, with their families.

    What has to stay is passed, whatever the reason: batches that fail are made smaller, down to the item that nothing
    can be done about. Parts of heavy items take turns with pages of others. `again` says that a round before this one
    left something behind on the way.
    """

    def __init__(self, using: str, wanted: Wanted, after: Place | None = None) -> None:
        self.items = 0
        self.rows: Counter[str] = Counter()
        self.kept: set[uuid.UUID] = set()
        self.again = after is not None and after.again
        self._using = using
        self._wanted = wanted
        self._before = self._after = after
        self._page: tuple[Place, ...] = ()
        self._ended = False
        self._queue: deque[uuid.UUID] = deque()
        self._heavy: deque[uuid.UUID] = deque()
        self._heavy_next = False
        self._most: int | None = None

    def go_on(self, most: int) -> bool:
        """Do the next thing, of at most so many items: a query or a transaction. Return False at the end."""
        if not self._queue and self._heavy and (self._heavy_next or self._ended):
            self._heavy_next = False
            self._queue.append(self._heavy.popleft())
        if self._queue:
            self._take(most if self._most is None else min(most, self._most))
        elif not self._ended:
            self._heavy_next = True
            self._look()
        return bool(self._queue or self._heavy) or not self._ended

    def place(self) -> Place | None:
        """Return where another round is to go on: behind the last entry that was dealt with."""
        waiting = set(self._queue)
        done = list(takewhile(lambda one: one.item not in waiting, self._page))
        whole = len(done) == len(self._page)
        place = self._after if whole else done[-1] if done else self._before
        left = self.again or bool(self._heavy) or not waiting.issubset(one.item for one in self._page)
        return None if place is None else replace(place, again=left)

    def _look(self) -> None:
        found = going.look(self._using, self._wanted, self._after)
        self._ended = found.place is None
        self._before, self._page = self._after, found.found
        self._after = found.place
        self._queue.extend(one.item for one in found.found)

    def _take(self, most: int) -> None:
        batch = [self._queue.popleft() for _ in range(min(most, len(self._queue)))]
        try:
            done = retention.take(self._using, self._wanted, batch)
        except Exception as error:
            if not stands_alone(error):
                self._queue.extendleft(reversed(batch))
                raise
            self._shrink(batch, error)
            return
        self._most = None if self._most is None else self._most * 2
        self._count(done)

    def _shrink(self, batch: list[uuid.UUID], error: Exception) -> None:
        if len(batch) == 1:
            self.kept.update(batch)
            logger.warning("the item %s could not be removed, and is passed over: %s", batch[0], error)
            return
        self._most = len(batch) // 2
        self._queue.extendleft(reversed(batch))

    def _count(self, done: Taken) -> None:
        self.items += done.items
        self.rows.update(done.rows)
        self.kept |= done.kept
        self._queue.extendleft(reversed(done.left))
        self._queue.extend(done.freed)
        if done.part is not None:
            self._heavy.append(done.part)
