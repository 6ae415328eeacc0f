"""Let a body come as it is read: whoever sends it can be known, and refused, before it is here.

Django's handler has a body on the disk, however large, before it asks who sends it and where to. Here a small one is in
memory at once. Of a large one the rest depends on who is asked:

a view that `reads` it   has it come as it reads, in its thread, and no more than it said that it takes
any other view           finds it whole, as with Django; `most` bounds it, if the application is given one

A thread costs more than a body that comes slowly, so what a view reads before it knows the sender comes on the loop.
Each piece, and the whole, has its time to come.
"""

from __future__ import annotations

import asyncio
import io
import math
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from django.conf import settings
from django.core.exceptions import RequestAborted, RequestDataTooBig
from django.core.handlers.asgi import get_script_prefix
from django.urls import Resolver404, resolve

SMALL_BYTES = 64 * 1024
"""What is in memory before anybody is asked."""
PIECE_SECONDS = 30.0
"""How long the next piece of a body may take to come."""
WHOLE_SECONDS = 600.0
"""How long all of it may."""
MARK = "roost_reads"

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
V = TypeVar("V", bound=Callable[..., Any])


def _none() -> int:
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Taking:
    """How many bytes a view takes, and how many of them it reads of whoever sends them."""

    most: Callable[[], int]
    of_anybody: Callable[[], int]


def reads(most: Callable[[], int], *, of_anybody: Callable[[], int] = _none) -> Callable[[V], V]:
    """Mark a view that reads its body itself, in a thread, and of that so many bytes at the most.

    What it reads `of_anybody`, before it looks at who that is, is there before the thread is busy with it.
    """

    def mark(view: V) -> V:
        setattr(view, MARK, Taking(most=most, of_anybody=of_anybody))
        return view

    return mark


class Refused(Exception):
    """A body is not taken; `status` says how that is answered."""

    status = 400


class TooLarge(Refused):
    """More comes than an address that reads no body itself takes."""

    status = 413

    def __init__(self, most: int) -> None:
        super().__init__(f"At most {most} bytes are taken.")


class TooSlow(Refused):
    """It does not come in time."""

    status = 408

    def __init__(self) -> None:
        super().__init__(
            f"The body did not come in time: send the next piece within {PIECE_SECONDS:.0f} seconds, and all of a "
            f"small one within {WHOLE_SECONDS:.0f}."
        )


class Incoming:
    """What comes of a request. Called, it tells what comes after the body, so it waits for that to be over."""

    def __init__(self, scope: Message, receive: Receive, most: int | None) -> None:
        self._scope, self._receive, self._most = scope, receive, most
        self._over = asyncio.Event()
        self._reading: asyncio.Task[Any] | None = None
        self._left = False

    async def __call__(self) -> Message:
        """Return the next message, once the body has come."""
        await self._over.wait()
        return await self._receive()

    async def begin(self) -> IO[bytes]:
        """Return the body, or what reads it. Raises RequestAborted, and `Refused`."""
        until = asyncio.get_running_loop().time() + WHOLE_SECONDS
        length, first = self._length(), b""
        try:
            if length is None:
                first = await self.piece(until)
            if self._over.is_set():
                return io.BytesIO(first)
            if length is not None and length <= SMALL_BYTES:
                return await self._whole(io.BytesIO(), first, None, until)
            taking = self._taken_by_view()
            if taking is not None:
                return io.BufferedReader(await self._arriving(taking, length or 0, first, until), SMALL_BYTES)
            if self._most is not None and (length or 0) > self._most:
                raise TooLarge(self._most)
            # A product's own upload takes as long as it takes, piece after piece.
            return await self._whole(_spooled(), first, self._most, math.inf)
        except TimeoutError:
            raise TooSlow from None

    async def piece(self, until: float) -> bytes:
        """Return what comes next, b"" after the end. Raises TimeoutError when it is not in time, and RequestAborted."""
        if self._left:
            raise RequestAborted
        found = b""
        self._reading = asyncio.current_task()
        try:
            async with asyncio.timeout_at(min(until, asyncio.get_running_loop().time() + PIECE_SECONDS)):
                while not found and not self._over.is_set():
                    found = await self._next()
        finally:
            self._reading = None
        return found

    def leave(self) -> None:
        """Wait for no more of the body: whoever reads it is told that it does not come."""
        self._left = True
        if self._reading is not None:
            self._reading.cancel()

    async def _next(self) -> bytes:
        message = await self._receive()
        gone = message["type"] == "http.disconnect"
        if gone or not message.get("more_body", False):
            self._over.set()
        if gone:
            raise RequestAborted
        return bytes(message.get("body", b""))

    async def _whole(self, into: IO[bytes], first: bytes, most: int | None, until: float) -> IO[bytes]:
        try:
            count = into.write(first)
            while not self._over.is_set():
                count += into.write(await self.piece(until))
                if most is not None and count > most:
                    raise TooLarge(most)
        except BaseException:
            into.close()
            raise
        into.seek(0)
        return into

    async def _arriving(self, taking: Taking, length: int, first: bytes, until: float) -> Arriving:
        """Return what a view reads by, once there is what it reads of anybody; what is too large it refuses unread."""
        most, there = taking.most(), bytearray(first)
        wanted = 0 if length > most else min(taking.of_anybody(), most + 1)
        try:
            while len(there) < wanted and not self._over.is_set():
                there += await self.piece(until)
        except TimeoutError:
            until = 0.0  # the view is told so, when it has read what is there
        return Arriving(self, bytes(there), most, until)

    def _length(self) -> int | None:
        """Return what the client says, None where it says nothing: it sends no body then, or does not know."""
        said = next((value for name, value in self._scope.get("headers", ()) if name == b"content-length"), b"")
        return int(said) if said.isdigit() else None

    def _taken_by_view(self) -> Taking | None:
        """Return what the view reads itself, None for one that is given its body, and where there is none."""
        path = self._scope["path"].removeprefix(get_script_prefix(self._scope))
        try:
            view = resolve(path).func
        except Resolver404:
            return None
        taking: Taking | None = getattr(view, MARK, None)
        return taking


class Arriving(io.RawIOBase):
    """A body that comes as it is read, in a thread, while the loop that it comes by is at work."""

    def __init__(self, incoming: Incoming, first: bytes, most: int, until: float) -> None:
        super().__init__()
        self._incoming, self._most, self._until = incoming, most, until
        self._rest, self._count = memoryview(first), len(first)
        self._loop = asyncio.get_running_loop()

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, into: Any) -> int:
        """Read some. Raises RequestDataTooBig for more than may come, and OSError when it does not come."""
        while not self._rest:
            piece = self._fetch()
            if not piece:
                return 0
            self._count += len(piece)
            if self._count > self._most:
                raise RequestDataTooBig(f"At most {self._most} bytes are taken.")
            self._rest = memoryview(piece)
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _fetch(self) -> bytes:
        _refuse_loop()
        try:
            return asyncio.run_coroutine_threadsafe(self._incoming.piece(self._until), self._loop).result()
        except RequestAborted:
            raise ConnectionAbortedError("the client has gone") from None
        except CancelledError:
            raise ConnectionAbortedError("the server stops, or has cut the request off") from None


def _refuse_loop() -> None:
    """Raise RuntimeError where the thread runs a loop: it would wait for itself."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("This body comes as it is read, and is read in a thread: read it in no asynchronous middleware.")


def _spooled() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE, mode="w+b")
