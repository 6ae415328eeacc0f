"""Clients of the API that cost next to nothing: HTTP/1.1 over one kept connection each, in one event loop."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

PATIENCE = 30.0
WAIT_SECONDS = 10
WORK_SECONDS = 2.0
"""How long the work of one item takes: who waits for it really waits."""
TERMINAL = frozenset({"done", "failed", "cancelled"})


@dataclass(kw_only=True, slots=True)
class Told:
    """What the clients saw: seconds of each enqueue, ids that were accepted and ended, and what went wrong."""

    enqueued: list[float] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: dict[str, str]
    body: Any


class Connection:
    """One kept connection to the server."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self.host, self.port, self.root = str(parts.hostname), parts.port, parts.path
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"

    async def open(self) -> Self:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request and read its answer, whose length the server tells."""
        content = b"" if body is None else json.dumps(body).encode()
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        kind = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if content else ""
        self._writer.write(f"{method} {self.root}{path} HTTP/1.1\r\n{self._head}{kind}{more}\r\n".encode() + content)
        await self._writer.drain()
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        told = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        text = await self._reader.readexactly(int(told["content-length"]))
        return Answer(status=int(head[0].split(" ")[1]), headers=told, body=json.loads(text))


async def crowd(url: str, token: str, *, clients: int, seconds: float, name: str = "client") -> Told:
    """Let so many clients enqueue an item and wait for its result, one after another, for so long."""
    told, until = Told(), time.monotonic() + seconds
    names = [f"{name}-{number}" for number in range(clients)]
    await asyncio.gather(*(_client(url, token, at / clients, one, until, told) for at, one in enumerate(names)))
    return told


async def _client(url: str, token: str, place: float, name: str, until: float, told: Told) -> None:
    # They come one by one, as clients do: all in one instant would be another question.
    await asyncio.sleep(WORK_SECONDS * place)
    turn = 0
    while time.monotonic() < until:
        try:
            connection = await Connection(url, token).open()
            try:
                while time.monotonic() < until:
                    turn += 1
                    await _turn(connection, f"{name}-{turn}", told)
            finally:
                await connection.close()
        except (OSError, EOFError, ValueError, KeyError) as error:
            told.errors.append(f"{type(error).__name__}: {error}")


async def _turn(connection: Connection, key: str, told: Told) -> None:
    payload = {"engine": "hop", "payload": {"steps": 1, "sleep": WORK_SECONDS}}
    start = time.perf_counter()
    made = await connection.ask("POST", "/work-items", payload, Idempotency_Key=key)
    told.enqueued.append(time.perf_counter() - start)
    if made.status != 201:
        told.errors.append(f"{made.status} {made.body}")
        return
    item = made.body["id"]
    told.accepted.add(item)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = await connection.ask("GET", f"/work-items/{item}/result?wait={WAIT_SECONDS}")
        if found.status == 200:
            told.ended.add(item)
            return
        if found.status != 202:
            told.errors.append(f"{found.status} {found.body}")
            return
        await asyncio.sleep(float(found.headers.get("retry-after", 1)))
    told.errors.append(f"item {item} did not end in {PATIENCE} s")
