"""Wait for an item's end, for a while: short reads with sleeps between them, and no transaction open meanwhile.

One of those who wait reads for all of them, a query however many they are, and hands that on when it leaves. What it
reads of an item that has ended goes to whoever waits for that, who need not ask again. A thread
of this process is busy until then, so only `ROOST_API_WAITERS` requests may wait at once; one more is answered at
once, and comes again. Who waits for a client that has gone leaves at once, where the server tells of it.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from console.api.reading import bounded
from console.connections import give_back_connection
from console.departures import Departure
from runtime.conf import settings as roost
from runtime.models import WorkItem
from runtime.queries import items

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.1
GAP = 0.005
"""Between two who are told of what one read has found."""
ALL_TOLD = 0.1
"""Until all of them are, however many."""

_waiting = 0
_guard = threading.Lock()


@dataclass(eq=False, kw_only=True, slots=True)
class Waiter:
    """One request that waits. `reads` says that it is the one that reads for all, `found` what came of the item."""

    item: uuid.UUID
    until: float
    reads: bool = False
    over: bool = False
    found: WorkItem | None = None
    woken: threading.Event = field(default_factory=threading.Event)

    @property
    def left(self) -> float:
        """Seconds that it may still wait."""
        return self.until - time.monotonic()


class Crowd:
    """Those who wait in this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiters: list[Waiter] = []

    def wait(self, item: uuid.UUID, until: float, departure: Departure | None = None) -> WorkItem | None:
        """Return what came of the item when it has ended, None when it, the time or the client is gone.

        Raises what a read raises.
        """
        me = Waiter(item=item, until=until)
        with self._guard:
            me.reads = not any(one.reads for one in self._waiters)
            self._waiters.append(me)
        try:
            with (departure or Departure()).heeded(partial(self._send_away, me)):
                self._wait(me)
            return me.found
        finally:
            self._leave(me)

    def _wait(self, me: Waiter) -> None:
        while not me.over and me.left > 0:
            if me.reads:
                self._read_for_all(me)
            else:
                give_back_connection()
                rest(me, max(0.0, me.left))

    def _read_for_all(self, me: Waiter) -> None:
        pause = FIRST_PAUSE
        while True:
            with self._guard:
                asking = [one for one in self._waiters if not one.over]
            with bounded():
                ended = items.ended({one.item for one in asking})
            give_back_connection()
            self._tell(me, [one for one in asking if one.item in ended], ended)
            left = me.left
            if me.over or left <= 0:
                return
            if ended:
                pause = FIRST_PAUSE
            rest(me, min(pause, left))
            pause = min(pause * 1.5, LONGEST_PAUSE)

    def _tell(self, me: Waiter, told: list[Waiter], ended: dict[uuid.UUID, WorkItem | None]) -> None:
        """Tell those for whom it was read; to who came meanwhile it may be older than what they know.

        One after another: told all at once they would come back all at once, and end together again, more and more.
        Whoever reads is the last, and waits for nothing when its client goes.
        """
        for place, one in enumerate(sorted(told, key=lambda one: one is me)):
            if place and not me.over:
                rest(me, min(GAP, ALL_TOLD / len(told)))
            with self._guard:
                one.over, one.found = True, ended[one.item]
                one.woken.set()

    def _send_away(self, one: Waiter) -> None:
        """Let one go whose client has gone."""
        with self._guard:
            one.over = True
            one.woken.set()

    def _leave(self, me: Waiter) -> None:
        """Go, and let another read if it was me."""
        with self._guard:
            self._waiters.remove(me)
            if me.reads and self._waiters:
                self._waiters[0].reads = True
                self._waiters[0].woken.set()


_crowd = Crowd()


def rest(waiter: Waiter, seconds: float) -> None:
    """Do nothing for so long, or until somebody wakes the waiter."""
    waiter.woken.wait(seconds)
    waiter.woken.clear()


def until_ended(item: uuid.UUID, seconds: float, departure: Departure | None = None) -> WorkItem | None:
    """Return what came of the item when it has ended, as `items.outcome` does.

    None when it is removed, when the client has gone, after so many seconds at the latest, and where there is no place
    to wait.
    """
    end = time.monotonic() + min(seconds, roost.API_WAIT_SECONDS)
    with place() as free:
        return _crowd.wait(item, end, departure) if free else None


@contextmanager
def place() -> Iterator[bool]:
    """Take one of the places for those who wait; False says that there is none."""
    global _waiting
    with _guard:
        free = _waiting < roost.API_WAITERS
        _waiting += free
    try:
        yield free
    finally:
        with _guard:
            _waiting -= free
