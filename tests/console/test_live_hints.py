"""Hints of changes: pages hear at once what other processes commit, and lose nothing when no hint comes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import InMemoryChannelLayer, channel_layers
from django.db import connection

from console.live import hub, listening
from console.live.changes import Changes
from runtime import live, wake
from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.pause import pause
from runtime.store import get_store
from runtime.worker.drain import Drain
from runtime.worker.options import WorkerOptions
from runtime.worker.stop import StopToken
from tests.console.sockets import happens
from tests.factories import WorkItemFactory

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = 5.0
on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no notices")


class Layer(InMemoryChannelLayer):  # type: ignore[misc]
    """Stands for a layer that reaches other processes, and keeps what is sent."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.heard = threading.Event()
        self.fails = False

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        """Note the message and send it."""
        if self.fails:
            raise RuntimeError("the layer is away")
        self.sent.append((group, message))
        self.heard.set()
        await super().group_send(group, message)

    def hint(self) -> None:
        """Send a hint from the thread of an event loop."""
        async_to_sync(self.group_send)(live.GROUP, live.MESSAGE)


class Listener:
    """Somebody who hears of changes."""

    def __init__(self) -> None:
        self.heard: dict[Any, int] = {}
        self.news = asyncio.Event()

    def hear(self, changes: Changes) -> None:
        """Note them."""
        self.heard.update({item: last.seq for item, last in changes.items.items()})
        self.news.set()

    async def hears(self, item: WorkItem, *, version: int) -> None:
        """Wait until the item's change to this version is heard of."""
        while self.heard.get(item.pk) != version:
            self.news.clear()
            await self.news.wait()


@pytest.fixture
def hints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the databases of the hints that are sent from now on."""
    told: list[str] = []
    monkeypatch.setattr(live, "_sent", {})
    monkeypatch.setattr(live, "HINT_SECONDS", 0.0)
    monkeypatch.setattr(wake, "send", lambda using, channel, payload: told.append(channel))
    return told


@pytest.fixture
def layer(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Layer:
    """Give a channel layer that counts as one which reaches other processes."""
    made = Layer()
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.console.test_live_hints.Layer"}}
    monkeypatch.setitem(channel_layers.backends, "default", made)
    monkeypatch.setattr(live, "_sent", {})
    return made


def work() -> None:
    """Run a worker until nothing is due."""
    with StopToken() as stop:
        Drain(WorkerOptions.defaults(get_store().using, until_idle=True, grace_seconds=1.0), stop).run()


def test_enqueueing_moving_and_working_are_hinted_and_idling_is_not(hints: list[str]) -> None:
    def during(what: Callable[[], Any]) -> int:
        hints.clear()
        what()
        return hints.count(live.CHANNEL)

    item = enqueue("counter", {"count_to": 3})
    assert during(lambda: enqueue("counter", {"count_to": 1}, delay=60)) == 1
    assert during(lambda: pause(item.pk, actor="ann")) == 1
    enqueue("counter", {"count_to": 1})
    assert during(work) > 1
    assert during(work) == 0


def test_a_burst_is_hinted_once(hints: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HINT_SECONDS", 60.0)
    for _ in range(3):
        live.told("default")
    assert hints == [live.CHANNEL]


@on_postgresql
def test_a_notice_is_heard_long_before_the_next_look(reads: Reads) -> None:
    reads.only_after_hints()
    assert heard_after(lambda: wake.send("default", live.CHANNEL, ""), reads) == 1


def test_a_message_of_the_channel_layer_is_heard_long_before_the_next_look(layer: Layer, reads: Reads) -> None:
    reads.only_after_hints(without_notices=True)
    assert heard_after(layer.hint, reads) == 1


def test_what_comes_after_a_hint_is_looked_for_although_nobody_hints_again(layer: Layer, reads: Reads) -> None:
    reads.only_after_hints(without_notices=True, and_again=0.05)
    assert heard_after(layer.hint, reads, times=2) == 2


def test_hints_go_over_a_layer_that_reaches_other_processes_and_over_no_other(layer: Layer, settings: Any) -> None:
    live.told("default")
    assert layer.heard.wait(SECONDS)
    assert layer.sent[0] == (live.GROUP, live.MESSAGE)
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    assert live.layer() is None


def test_a_layer_that_fails_stops_neither_hints_nor_pages(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    layer.fails = True
    async_to_sync(live._send)()
    monkeypatch.setattr(listening, "FIRST_PAUSE", 0.01)

    async def broken(prefix: str) -> str:
        raise RuntimeError("the layer is away")

    monkeypatch.setattr(layer, "new_channel", broken)
    monkeypatch.setattr(hub, "READ_SECONDS", 0.02)
    item = WorkItemFactory()

    @async_to_sync
    async def scenario() -> dict[Any, int]:
        listener = Listener()
        await hub.hub().join(listener)
        try:
            await sync_to_async(happens)(item)
            await asyncio.wait_for(listener.news.wait(), SECONDS)
        finally:
            await hub.hub().leave(listener)
        return listener.heard

    assert scenario() == {item.pk: 2}


def test_a_layer_that_answers_the_end_with_an_error_keeps_nobody_from_leaving(
    layer: Layer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "FIRST_PAUSE", 0.01)
    listens, told = asyncio.Event(), 0

    async def receive(channel: str) -> Any:
        nonlocal told
        listens.set()
        try:
            return await asyncio.Event().wait()
        except asyncio.CancelledError:
            told += 1
            if told == 1:
                raise AssertionError("the lock of the layer is held") from None
            raise

    monkeypatch.setattr(layer, "receive", receive)

    @async_to_sync
    async def scenario() -> list[Any]:
        listener = Listener()
        await hub.hub().join(listener)
        await asyncio.wait_for(listens.wait(), SECONDS)
        await asyncio.wait_for(hub.hub().leave(listener), SECONDS)
        return hub.hub()._tasks

    assert scenario() == []
    assert told == 2


class Reads:
    """When the hub reads."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._rests = 0
        self.listens = asyncio.Event()
        rest = hub.Hub._rest

        async def noted(of: hub.Hub, pause: float, least: float) -> bool:
            # The first rest ends when the source listens.
            self._rests += 1
            if self._rests > 1:
                self.listens.set()
            return await rest(of, pause, least)

        patch.setattr(hub.Hub, "_rest", noted)

    def only_after_hints(self, *, without_notices: bool = False, and_again: float = 60.0) -> None:
        """Let it read when a hint comes, so many seconds after one, and not by itself."""
        self._patch.setattr(hub, "READ_SECONDS", 60.0)
        self._patch.setattr(hub, "HINT_SECONDS", and_again)
        if without_notices:
            self._patch.setattr(listening, "_notices", _silence)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """Give a say in when the hub reads."""
    return Reads(monkeypatch)


async def _silence(heard: Callable[[], None]) -> None:
    await asyncio.Event().wait()


def heard_after(hint: Callable[[], Any], reads: Reads, *, times: int = 1, patience: float = SECONDS) -> int:
    """Let so many items change one after another, the first followed by a hint; return how many were heard of."""
    items = [WorkItemFactory() for _ in range(times)]

    @async_to_sync
    async def scenario() -> set[Any]:
        listener = Listener()
        await hub.hub().join(listener)
        try:
            await asyncio.wait_for(reads.listens.wait(), patience)
            for item in items:
                await sync_to_async(happens)(item)
                if item is items[0]:
                    await sync_to_async(hint)()
                await asyncio.wait_for(listener.news.wait(), patience)
                listener.news.clear()
        finally:
            await hub.hub().leave(listener)
        return set(listener.heard)

    return len(scenario() & {item.pk for item in items})
