"""Tell one page what changes, over whatever it listens on: first what it missed, then what the hub reads.

Nothing is lost: the page joins the hub before its own cursor is read, and goes on from the last cursor it was told.
It may be told twice, and knows a change by the item and its event's number. The permission (roost.view_workitem, in a
session that is still good) is checked before the first word and again while the page listens, told of something or not,
and with it which namespaces the user reaches: what happens elsewhere does not even make the page say that nothing did.
Where they are others than before, the page reads afresh what it shows, since it was not told of what happened there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from channels.db import database_sync_to_async

from console.callers import Caller
from console.live.access import who_may_watch
from console.live.changes import Changes, Subscription, kept_back, message, read_on
from console.live.hub import hub

BEAT_SECONDS = 20.0
"""After so long without news a page is told that there are none, so that it can tell silence from a dead line."""
RECHECK_SECONDS = 30.0


class Watcher:
    """Whoever listens, by his session."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._checked = float("-inf")
        self._caller: Caller | None = None
        self._moved = False

    async def may_watch(self, *, afresh: bool = False) -> bool:
        """Say whether he may still hear of changes; asks the database every `RECHECK_SECONDS`, or afresh."""
        if not afresh and time.monotonic() - self._checked < RECHECK_SECONDS:
            return True
        found = await database_sync_to_async(who_may_watch)(self._session)
        if found is not None:
            self._checked = time.monotonic()
            self._moved |= self._caller is not None and self._caller.namespaces != found.namespaces
        self._caller = found
        return found is not None

    def reaches(self, namespace: str) -> bool:
        """Say whether he reached the namespace when that was last asked."""
        return self._caller is not None and self._caller.reaches(namespace)

    def told(self, subscription: Subscription, changes: Changes, cursor: str) -> dict[str, Any]:
        """Return what his page is told, which has the cursor: a reset when he reaches other namespaces than before."""
        if self._caller is not None:
            changes = kept_back(changes, cursor, self._caller)
        moved, self._moved = self._moved, False
        return message(subscription, replace(changes, reset=changes.reset or moved), self.reaches)


class Page:
    """A page's place at the hub: what it has not yet been told. A slow one costs memory, and nobody else's time."""

    def __init__(self, subscription: Subscription, watcher: Watcher) -> None:
        self._subscription = subscription
        self._watcher = watcher
        self._news = asyncio.Event()
        self._cursor = subscription.cursor or ""
        self._untold: Changes = Changes(items={}, cursor=self._cursor)

    def hear(self, changes: Changes) -> None:
        """Put changes beside those not yet told."""
        before = self._untold
        self._untold = Changes(
            items={**before.items, **self._subscription.wanted(changes.items, self._watcher.reaches)},
            cursor=changes.cursor,
            reset=changes.reset or before.reset,
        )
        if self._untold.items or self._untold.reset:
            self._news.set()

    async def news(self) -> Changes:
        """Return what is new, once there is something; nothing after `BEAT_SECONDS`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT_SECONDS):
                await self._news.wait()
        self._news.clear()
        told = self._untold
        self._untold = Changes(items={}, cursor=told.cursor)
        return told

    def told(self, changes: Changes) -> dict[str, Any]:
        """Return what the page is told of the changes."""
        said = self._watcher.told(self._subscription, changes, self._cursor)
        self._cursor = said["cursor"]
        return said


async def telling(subscription: Subscription, watcher: Watcher) -> AsyncGenerator[dict[str, Any], None]:
    """Yield what the page is to be told. Ends when the user may no longer watch."""
    if not await watcher.may_watch(afresh=True):
        return
    page = Page(subscription, watcher)
    # Join first and read afterwards: what commits in between is told twice rather than never.
    await hub().join(page)
    try:
        missed = await database_sync_to_async(read_on)(subscription.cursor)
        page.hear(Changes(items={}, cursor=missed.cursor))
        yield page.told(missed)
        while True:
            changes = await page.news()
            if not await watcher.may_watch():
                return
            yield page.told(changes)
    finally:
        await hub().leave(page)
