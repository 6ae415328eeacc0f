"""A wait ends when its time is over, whatever the API does meanwhile."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from runtime.client import AsyncClient, Client, Retries
from runtime.client.call import question
from runtime.client.errors import ClientError, Unavailable, Unreachable
from runtime.client.shapes import Item
from runtime.client.wire import LEAST, Shrinking, request

pytestmark = pytest.mark.scenario("S10")

ITEM = uuid.UUID(int=1)
PATIENCE = 1.2
OVER = PATIENCE + 2.0
"""Long before a client without such patience gives up."""
STUBBORN = Retries(times=1_000, first=0.05, longest=0.1)

Wait = Callable[..., Any]


def blocking(url: str, **options: Any) -> Any:
    """Wait for the item with the client that blocks."""
    with Client(url, "token", **options) as roost:
        return roost.wait(ITEM, timeout=PATIENCE)


def later(url: str, **options: Any) -> Any:
    """Wait for it with the other one."""

    async def wait() -> Any:
        async with AsyncClient(url, "token", **options) as roost:
            return await roost.wait(ITEM, timeout=PATIENCE)

    return asyncio.run(wait())


both = pytest.mark.parametrize("wait", [blocking, later])


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Give a socket on loopback that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def address(server: socket.socket) -> str:
    """Return where it is."""
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def error_of(wait: Wait, url: str, **options: Any) -> ClientError:
    """Return what a wait raises, in time."""
    began = time.monotonic()
    with pytest.raises(ClientError) as caught:
        wait(url, **options)
    assert time.monotonic() - began < OVER
    return caught.value


@both
def test_a_server_that_never_answers_is_not_waited_for_any_longer(wait: Wait, server: socket.socket) -> None:
    began = time.monotonic()
    assert isinstance(error_of(wait, address(server), timeout=60.0), Unreachable)
    assert time.monotonic() - began >= PATIENCE / 2


@both
def test_a_server_that_is_not_there_is_tried_no_longer(wait: Wait, server: socket.socket) -> None:
    url = address(server)
    server.close()
    assert isinstance(error_of(wait, url, retries=STUBBORN), Unreachable)


@both
def test_a_server_that_asks_for_more_patience_is_not_given_it(wait: Wait) -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(503, headers={"Retry-After": "30"}))
    error = error_of(wait, "http://testserver", transport=transport)
    assert isinstance(error, Unavailable)
    assert error.retry_after == 30


def test_the_phases_of_a_request_share_its_time() -> None:
    call = question("getWorkItem", "/work-items/{item_id}", Item, ITEM)
    with httpx.Client(base_url="http://testserver") as http:
        usual = request(http, call, 10.0).extensions["timeout"]
        short = request(http, call, 10.0, 2.0).extensions["timeout"]
    assert usual == short == {"connect": 10.0, "read": 10.0, "write": 10.0, "pool": 10.0}
    assert all(1.0 < short.get(name) <= 2.0 for name in short)
    assert Shrinking({"read": 10.0}, 60.0).get("read") == 10.0
    assert Shrinking({"read": None}, 60.0).get("read") > 10.0
    assert Shrinking({"read": 10.0}, -1.0).get("read") == LEAST
