"""Hints over a channel layer that is a Redis, as a product with several machines has one."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async

from console.live import hub, listening
from runtime import live
from tests.console.redis import Redis
from tests.console.sockets import happens
from tests.console.test_live_hints import SECONDS, Listener, Reads, _silence, heard_after
from tests.factories import WorkItemFactory
from tests.processes.tree import ROOT

pytestmark = pytest.mark.django_db(transaction=True)

TELL = """
import django; django.setup()
from asgiref.sync import async_to_sync
from runtime import live
async_to_sync(live._send)()
"""


@pytest.fixture
def server(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """Give a Redis that is the channel layer."""
    made = Redis()
    try:
        made.start()
        config = {"hosts": [made.url], "prefix": "roost"}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": config}}
        monkeypatch.setattr(live, "_sent", {})
        yield made
    finally:
        made.stop()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Give a say in when the hub reads."""
    return Reads(monkeypatch)


def test_a_hint_of_this_process_is_heard_long_before_the_next_look(server: Redis, reads: Reads) -> None:
    reads.only_after_hints(without_notices=True)
    assert heard_after(lambda: live.told("default"), reads) == 1


@pytest.mark.slow
def test_a_hint_of_another_process_is_heard_as_the_demo_product_is_configured(server: Redis, reads: Reads) -> None:
    reads.only_after_hints(without_notices=True)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ROOST_", "DJANGO_"))}
    ours |= {"DJANGO_SETTINGS_MODULE": "roost_project.settings", "ROOST_REDIS_URL": server.url}

    def other() -> None:
        subprocess.run([sys.executable, "-c", TELL], cwd=ROOT, env=ours, check=True)

    assert heard_after(other, reads, patience=60.0) == 1


def test_pages_miss_nothing_while_redis_is_away_and_hear_hints_again_when_it_is_back(
    server: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listening, "_notices", _silence)
    monkeypatch.setattr(hub, "READ_SECONDS", 0.02)
    monkeypatch.setattr(listening, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(listening, "LONGEST_PAUSE", 0.1)
    caplog.set_level(logging.INFO, "roost.live")
    heard = asyncio.Event()
    sources = listening.sources

    def noted(hear: Callable[[], None]) -> Any:
        return sources(lambda: (heard.set(), hear())[1])

    monkeypatch.setattr(listening, "sources", noted)

    @async_to_sync
    async def scenario() -> None:
        listener = Listener()
        await hub.hub().join(listener)
        try:
            await asyncio.wait_for(heard.wait(), SECONDS)
            server.kill()
            heard.clear()
            item = await sync_to_async(WorkItemFactory)()
            await sync_to_async(happens)(item)
            await live._send()
            await asyncio.wait_for(listener.hears(item, version=2), SECONDS)
            await sync_to_async(server.start)()
            # It joins anew by itself, and says so.
            await asyncio.wait_for(heard.wait(), SECONDS)
            heard.clear()
            await live._send()
            await asyncio.wait_for(heard.wait(), SECONDS)
        finally:
            await hub.hub().leave(listener)

    scenario()
    assert "a hint could not be sent" in caplog.text
