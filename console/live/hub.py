"""One reader of the event feed for all live pages of this process, however many there are and however they listen.

It reads only while somebody listens: when a hint says that there is something, and about once a second without one.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Protocol
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.db import Error

from console.live import listening
from console.live.changes import Changes, read_on
from runtime.exceptions import RoostError
from runtime.live import HINT_SECONDS

READ_SECONDS = 1.0
LEAST_PAUSE = 0.05
SHARE = 4
"""Reading rests so many times as long as it took: a busy database is not read all the time."""
LONGEST_PAUSE = 30.0
ASK_AGAIN_SECONDS = 0.5
"""After so long, what was told to end and goes on is told again."""

logger = logging.getLogger("roost.live")


class Listener(Protocol):
    """Somebody who wants to hear of changes."""

    def hear(self, changes: Changes) -> None:
        """Take note of changes; must not block."""


class Hub:
    """Reads the feed and tells everybody who joined."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._cursor: str | None = None
        self._joining = asyncio.Lock()
        self._hinted = asyncio.Event()

    async def join(self, listener: Listener) -> None:
        """Tell the listener of every change that commits from now on."""
        async with self._joining:
            if not self._tasks or self._tasks[0].done():
                await self._end()
                self._cursor = (await database_sync_to_async(read_on)(None)).cursor
                work = [self._read_for_ever(), *listening.sources(self._hinted.set)]
                self._tasks = [asyncio.create_task(one) for one in work]
            self._listeners.add(listener)

    async def leave(self, listener: Listener) -> None:
        """Tell the listener nothing more; the last one to leave ends the reading."""
        async with self._joining:
            self._listeners.discard(listener)
            if not self._listeners:
                await self._end()

    async def _end(self) -> None:
        tasks, self._tasks = self._tasks, []
        going = set(tasks)
        while going:
            # A channel layer may answer with an error of its own, and what listens for ever would go on.
            for task in going:
                task.cancel()
            _over, going = await asyncio.wait(going, timeout=ASK_AGAIN_SECONDS)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read_for_ever(self) -> None:
        pause, least = READ_SECONDS, 0.0
        while True:
            hinted = await self._rest(pause, least)
            began = asyncio.get_running_loop().time()
            try:
                changes = await database_sync_to_async(read_on)(self._cursor)
            except (Error, RoostError):
                # The cursor stays where it is, so nothing is missed once the database is back.
                pause = least = min(pause * 2, LONGEST_PAUSE)
                logger.warning("the event feed could not be read; trying again in %.0f s", pause, exc_info=True)
                continue
            # Whoever hinted keeps still for a while and may have gone on meanwhile.
            pause = HINT_SECONDS if hinted else READ_SECONDS
            least = max(LEAST_PAUSE, SHARE * (asyncio.get_running_loop().time() - began))
            self._cursor = changes.cursor
            if changes.items or changes.reset:
                for listener in tuple(self._listeners):
                    listener.hear(changes)

    async def _rest(self, pause: float, least: float) -> bool:
        """Wait so long, or until a hint comes that is no sooner than `least`; return whether one came."""
        least = min(least, LONGEST_PAUSE)
        await asyncio.sleep(min(least, pause))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, pause - least)):
                await self._hinted.wait()
        hinted = self._hinted.is_set()
        self._hinted.clear()
        return hinted


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """Return the hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
