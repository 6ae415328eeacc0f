"""A page's end of the socket on which it hears of changes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

from roost_project.asgi import application
from runtime.choices import EventKind
from runtime.models import WorkItem
from tests.factories import EventFactory

PATH = "/roost/live/"
SECONDS = 5.0


class Socket:
    """A page's end of a socket."""

    def __init__(self, session: str, origin: str = "http://localhost", path: str = PATH) -> None:
        headers = [(b"host", b"localhost"), (b"origin", origin.encode())]
        if session:
            headers.append((b"cookie", f"{settings.SESSION_COOKIE_NAME}={session}".encode()))
        scope = {"type": "websocket", "path": path, "headers": headers, "query_string": b"", "subprotocols": []}
        self.end = ApplicationCommunicator(application, scope)

    async def connect(self) -> bool:
        """Say whether the server accepts."""
        await self.end.send_input({"type": "websocket.connect"})
        return (await self.end.receive_output(SECONDS))["type"] == "websocket.accept"

    async def say(self, said: Any) -> None:
        """Send JSON, or text as it is."""
        await self.end.send_input(
            {"type": "websocket.receive", "text": said if isinstance(said, str) else json.dumps(said)}
        )

    async def hear(self) -> Any:
        """Return what the server says next: a message, or the code it closes with."""
        heard = await self.end.receive_output(SECONDS)
        return json.loads(heard["text"]) if heard["type"] == "websocket.send" else heard.get("code")

    async def subscribe(self, **asked: Any) -> Any:
        """Subscribe and return the first answer."""
        await self.say(asked)
        return await self.hear()

    async def close(self) -> None:
        """Leave."""
        await self.end.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.end.wait(SECONDS)


@asynccontextmanager
async def opened(session: str) -> AsyncIterator[Socket]:
    """Give an accepted socket."""
    socket = Socket(session)
    assert await socket.connect()
    try:
        yield socket
    finally:
        await socket.close()


@async_to_sync
async def accepts(session: str, origin: str = "http://localhost", path: str = PATH) -> bool:
    """Say whether the server accepts such a socket."""
    socket = Socket(session, origin, path)
    accepted = await socket.connect()
    if accepted:
        await socket.close()
    return accepted


def happens(item: WorkItem) -> None:
    EventFactory(work_item=item, kind=EventKind.STEP)
