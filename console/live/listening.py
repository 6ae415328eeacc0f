"""Hear that something changed as it happens, where the surroundings allow it; the hub looks every second anyway.

PostgreSQL's notices come over one direct connection a process, others' messages over the channel layer. Both are
listened to only while a page is open, and both come back by themselves when they are lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
from django.db import connections

from runtime import live
from runtime.store import direct, work_database

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
JOIN_AGAIN_SECONDS = 3600.0
"""Layers forget members of a group that do not join again in time."""

logger = logging.getLogger("roost.live")

Heard = Callable[[], None]


def sources(heard: Heard) -> list[Coroutine[Any, Any, None]]:
    """Return what listens for ever, and calls `heard` for each hint and after each gap."""
    found = []
    if connections[work_database()].vendor == "postgresql":
        found.append(_for_ever(_notices, heard))
    if live.layer() is not None:
        found.append(_for_ever(_messages, heard))
    return found


async def _for_ever(listen: Callable[[Heard], Coroutine[Any, Any, None]], heard: Heard) -> None:
    pause = FIRST_PAUSE
    while True:
        began = asyncio.get_running_loop().time()
        try:
            await listen(heard)
        except Exception:
            # A layer may raise anything of its own.
            logger.info("hints of changes are not heard now; pages look every second", exc_info=True)
        lasted = asyncio.get_running_loop().time() - began
        pause = FIRST_PAUSE if lasted > LONGEST_PAUSE else min(pause * 2, LONGEST_PAUSE)
        await asyncio.sleep(pause)


async def _notices(heard: Heard) -> None:
    parameters = direct.parameters(work_database())
    connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
    async with connection:
        await connection.execute(f"LISTEN {live.CHANNEL}")
        heard()
        async for _notice in connection.notifies():
            heard()


async def _messages(heard: Heard) -> None:
    layer = live.layer()
    channel = await layer.new_channel(live.GROUP)
    try:
        while True:
            await layer.group_add(live.GROUP, channel)
            heard()
            try:
                async with asyncio.timeout(JOIN_AGAIN_SECONDS):
                    while True:
                        await layer.receive(channel)
                        heard()
            except TimeoutError:
                continue
    finally:
        await layer.group_discard(live.GROUP, channel)
