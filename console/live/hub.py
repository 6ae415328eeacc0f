"""One reader of the event feed for all live pages of this process, however many there are.

It reads only while somebody listens, about once a second, and costs one cheap query then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from django.db import Error

from console.live.changes import Changes, read_on
from runtime.exceptions import RoostError

READ_SECONDS = 1.0
LONGEST_PAUSE = 30.0

logger = logging.getLogger("roost.live")


class Listener(Protocol):
    """Somebody who wants to hear of changes."""

    def hear(self, changes: Changes) -> None:
        """Take note of changes; must not block."""


class Hub:
    """Reads the feed and tells everybody who joined."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._reader: asyncio.Task[None] | None = None
        self._cursor: str | None = None
        self._joining = asyncio.Lock()

    async def join(self, listener: Listener) -> None:
        """Tell the listener of every change that commits from now on."""
        async with self._joining:
            if self._reader is None or self._reader.done():
                self._cursor = (await database_sync_to_async(read_on)(None)).cursor
                self._reader = asyncio.create_task(self._read_for_ever())
            self._listeners.add(listener)

    async def leave(self, listener: Listener) -> None:
        """Tell the listener nothing more; the last one to leave ends the reading."""
        async with self._joining:
            self._listeners.discard(listener)
            if not self._listeners and self._reader is not None:
                self._reader.cancel()
                self._reader = None

    async def _read_for_ever(self) -> None:
        pause = READ_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                changes = await database_sync_to_async(read_on)(self._cursor)
            except (Error, RoostError):
                # The cursor stays where it is, so nothing is missed once the database is back.
                pause = min(pause * 2, LONGEST_PAUSE)
                logger.warning("the event feed could not be read; trying again in %.0f s", pause, exc_info=True)
                continue
            pause, self._cursor = READ_SECONDS, changes.cursor
            if changes.items or changes.reset:
                for listener in tuple(self._listeners):
                    listener.hear(changes)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def hub() -> Hub:
    """Return the hub of the running event loop."""
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())
