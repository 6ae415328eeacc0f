"""A stream over a real server goes on where its connection was cut, and tells each event once."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from asgiref.sync import async_to_sync, sync_to_async

from runtime.client import AsyncClient, Client, Happened, Retries
from runtime.operations.enqueue import enqueue
from runtime.queries import feed
from tests.processes.fleet import Fleet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("S10"), pytest.mark.slow]

AT_ONCE = Retries(first=0.0)
SERVER = ("-m", "uvicorn", "roost_project.asgi:application", "--lifespan", "off", "--log-level", "warning")


@pytest.fixture
def address(tmp_path: Path, token: str) -> Iterator[str]:
    """Serve the API by uvicorn; whoever connects before it is ready waits."""
    fleet = Fleet(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening, fleet.log.open("ab") as log:
        command = [sys.executable, *SERVER, "--fd", str(listening.fileno())]
        server = subprocess.Popen(
            command, env=fleet.environment, stdout=log, stderr=log, pass_fds=[listening.fileno()], cwd=tmp_path
        )
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/roost/api/v1"
        finally:
            server.kill()
            server.wait()


class Cuttable:
    """Notes where streams begin, and cuts the connection of the last one."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.connection: socket.socket | None = None

    def note(self, response: httpx.Response) -> None:
        """Keep the connection that an answer comes over."""
        self.begun.append(response.request.headers.get("Last-Event-ID", ""))
        self.connection = response.extensions["network_stream"].get_extra_info("socket")

    async def note_later(self, response: httpx.Response) -> None:
        """Keep it too."""
        self.note(response)

    def cut(self) -> None:
        """Cut it."""
        assert self.connection is not None
        self.connection.shutdown(socket.SHUT_RDWR)


def made() -> str:
    """Make something happen; return of which item it is told."""
    return str(enqueue("counter", {"count_to": 1}).pk)


def test_a_stream_goes_on_where_its_connection_was_cut(address: str, token: str) -> None:
    for follow in (_follow, async_to_sync(_follow_later)):
        wire, start = Cuttable(), feed.start()
        wanted, told = follow(address, token, wire, start)
        assert told == wanted
        assert wire.begun[0] == start
        assert len(wire.begun) == 2


def _follow(address: str, token: str, wire: Cuttable, start: str) -> tuple[list[str], list[str]]:
    with Client(address, token, retries=AT_ONCE) as roost:
        roost._http.event_hooks["response"].append(wire.note)
        wanted, events = [made()], roost.stream(engine="counter", last_event_id=start)
        told = [item_of(next(events))]
        wire.cut()
        wanted.append(made())
        told.append(item_of(next(events)))
    return wanted, told


async def _follow_later(address: str, token: str, wire: Cuttable, start: str) -> tuple[list[str], list[str]]:
    make = sync_to_async(made)
    async with AsyncClient(address, token, retries=AT_ONCE) as roost:
        roost._http.event_hooks["response"].append(wire.note_later)
        wanted, events = [await make()], roost.stream(engine="counter", last_event_id=start)
        told = [item_of(await anext(events))]
        wire.cut()
        wanted.append(await make())
        told.append(item_of(await anext(events)))
    return wanted, told


def item_of(event: object) -> str:
    """Return of which item an event tells."""
    assert isinstance(event, Happened)
    return str(event.item)
