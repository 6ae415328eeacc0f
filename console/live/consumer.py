"""Tell a page over its socket which of the items it shows have changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from typing import Any

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.db import Error

from console.live.access import may_watch
from console.live.changes import Changes, Subscription, message, parse, read_on
from console.live.hub import hub
from runtime.exceptions import InvalidInput

FORBIDDEN = 4403
MALFORMED = 4400
FAILED = 1011
RECHECK_SECONDS = 30.0
LONGEST_ASKED = 32 * 1024

logger = logging.getLogger("roost.live")


class LiveConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """One page's socket. Ids and event numbers only; whoever may read an item's page fetches it over HTTP.

    The permission (roost.view_workitem, in a session that is still good) is checked on connect, whenever the page
    asks, and every `RECHECK_SECONDS` before something is told. A slow page costs memory for the ids it has not yet
    been told, and nobody else's time.
    """

    async def connect(self) -> None:
        """Accept users who may see items."""
        self._subscription: Subscription | None = None
        self._pending: Changes | None = None
        self._news = asyncio.Event()
        self._teller: asyncio.Task[None] | None = None
        self._checked = -RECHECK_SECONDS
        if await self._allowed():
            await self.accept()
        else:
            await self.close(FORBIDDEN)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **_more: Any) -> None:
        """Take a subscription; it replaces the one before. What is none ends the connection."""
        if text_data is None or len(text_data) > LONGEST_ASKED:
            await self.close(MALFORMED)
            return
        try:
            subscription = parse(json.loads(text_data))
        except (ValueError, InvalidInput):
            await self.close(MALFORMED)
            return
        self._checked = -RECHECK_SECONDS
        if not await self._allowed():
            await self.close(FORBIDDEN)
            return
        await self._subscribe(subscription)

    async def disconnect(self, code: int) -> None:
        """Stop listening."""
        await hub().leave(self)
        if self._teller is not None:
            self._teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._teller

    def hear(self, changes: Changes) -> None:
        """Put changes beside those not yet told."""
        if self._subscription is None:
            return
        before = self._pending
        self._pending = Changes(
            items={**(before.items if before else {}), **self._subscription.wanted(changes.items)},
            cursor=changes.cursor,
            reset=changes.reset or (before is not None and before.reset),
        )
        if self._pending.items or self._pending.reset:
            self._news.set()

    async def _subscribe(self, subscription: Subscription) -> None:
        # Join first and read afterwards: what commits in between is told twice rather than never.
        self._subscription, self._pending = subscription, None
        self._news.clear()
        await hub().join(self)
        missed = await database_sync_to_async(read_on)(subscription.cursor)
        await self.send_json(message(subscription, missed))
        if self._teller is None:
            self._teller = asyncio.create_task(self._tell_for_ever())

    async def _tell_for_ever(self) -> None:
        try:
            await self._tell()
        except Error:
            # The page connects anew and goes on from its cursor; without this it would wait for ever.
            logger.warning("a live page could not be told of changes", exc_info=True)
            await self.close(FAILED)

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if not await self._allowed():
                await self.close(FORBIDDEN)
                return
            subscription, pending = self._subscription, self._pending
            self._pending = None
            if subscription is not None and pending is not None:
                await self.send_json(message(subscription, pending))

    async def _allowed(self) -> bool:
        if time.monotonic() - self._checked < RECHECK_SECONDS:
            return True
        allowed = await database_sync_to_async(may_watch)(self.scope.get("session"))
        if allowed:
            self._checked = time.monotonic()
        return bool(allowed)
