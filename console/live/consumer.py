"""Tell a page over its socket which of the items it shows have changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.db import Error

from console.live.changes import Subscription, parse
from console.live.telling import Watcher, telling
from runtime.exceptions import InvalidInput, RoostError

FORBIDDEN = 4403
MALFORMED = 4400
FAILED = 1011
LONGEST_ASKED = 32 * 1024

logger = logging.getLogger("roost.live")


class LiveConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """One page's socket. Ids and event numbers only; whoever may read an item's page fetches it over HTTP."""

    async def connect(self) -> None:
        """Accept users who may see items."""
        self._teller: asyncio.Task[None] | None = None
        self._watcher = Watcher(self.scope.get("session"))
        if await self._watcher.may_watch():
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
        await self._hush()
        self._teller = asyncio.create_task(self._tell(subscription))

    async def disconnect(self, code: int) -> None:
        """Stop listening."""
        await self._hush()

    async def _hush(self) -> None:
        teller, self._teller = self._teller, None
        if teller is not None:
            teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await teller

    async def _tell(self, subscription: Subscription) -> None:
        code = FORBIDDEN
        try:
            async with contextlib.aclosing(telling(subscription, self._watcher)) as told:
                async for said in told:
                    await self.send_json(said)
        except (Error, RoostError):
            # The page connects anew and goes on from its cursor; without this it would wait for ever.
            logger.warning("a live page could not be told of changes", exc_info=True)
            code = FAILED
        await self.close(code)
