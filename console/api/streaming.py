"""Tell what happens as it happens: server-sent events, from a cursor that misses nothing.

`Last-Event-ID` is the feed's cursor, so a client that comes again is told what it missed; an event may be told twice,
and is known by its item and number. A stream ends after a while, and the client comes again: then it is asked anew who
it is. It takes one of the places of those who wait, and one short read a second. Where it is without an event to tell
it says with the beat and at its end alone: at once, it would tell that something happens out of reach, and when.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from asgiref.sync import sync_to_async
from django.http import StreamingHttpResponse

from console.api.reading import bounded
from console.connections import give_back_connection
from runtime.conf import settings as roost
from runtime.queries import feed
from runtime.queries.feed import FeedEvent

PAUSE_SECONDS = 1.0
BEAT_SECONDS = 15.0
BEAT = b": still here\n\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which events; what is None does not narrow."""

    within: tuple[str, ...] | None
    engine: str = ""
    item: uuid.UUID | None = None

    def takes(self, event: FeedEvent) -> bool:
        """Say whether the event is one of them."""
        return (
            (self.within is None or event.namespace in self.within)
            and self.engine in ("", event.engine)
            and self.item in (None, event.item)
        )


class Stream(StreamingHttpResponse):
    """A stream of events that gives its place back when it ends, or its client goes away."""

    def __init__(self, pieces: Any, held: ExitStack) -> None:
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(pieces, content_type="text/event-stream", headers=headers)
        self._held = held

    def close(self) -> None:
        """Give the place back."""
        self._held.close()
        super().close()


@dataclass(kw_only=True, slots=True)
class Follower:
    """Where a stream is, and where its client knows it to be."""

    wanted: Wanted
    cursor: str
    known: str
    ends_at: float
    told_at: float
    is_over: bool = False
    """Whether its time was over at the last look."""

    @classmethod
    def of(cls, wanted: Wanted, cursor: str) -> Follower:
        """Return a stream that begins at the cursor, empty for now."""
        if not cursor:
            with bounded():
                cursor = feed.start()
        now = time.monotonic()
        return cls(wanted=wanted, cursor=cursor, known=cursor, ends_at=now + roost.API_STREAM_SECONDS, told_at=now)

    def look(self) -> tuple[bytes, bool]:
        """Read what is new; return it, and whether more is there already."""
        with bounded():
            page = feed.read(self.cursor)
        if not page.more:
            give_back_connection()
        self.cursor = page.cursor
        told = [_event("reset", {})] if page.reset else []
        told += [_event(event.kind, _shape(event)) for event in page.events if self.wanted.takes(event)]
        return self._piece("".join(told)), page.more

    def _piece(self, told: str) -> bytes:
        """Return what is sent of it now."""
        now = time.monotonic()
        self.is_over, beats = now >= self.ends_at, now - self.told_at >= BEAT_SECONDS
        if not (told or beats or self.is_over):
            return b""
        self.told_at = now
        if told or self.cursor != self.known:
            self.known = self.cursor
            return f"{told}id: {self.cursor}\n\n".encode()
        return BEAT if beats else b""

    @property
    def opening(self) -> bytes:
        """What a stream begins with: where it is, without which clients forget what they knew.

        What a client sent that is no cursor is not repeated.
        """
        where = f"id: {self.cursor}\n" if feed.is_cursor(self.cursor) else ""
        return f"retry: 1000\n{where}\n".encode()


def pieces(follower: Follower) -> Iterator[bytes]:
    """Tell events to a synchronous server, whose thread is busy meanwhile."""
    yield follower.opening
    while True:
        text, more = follower.look()
        if text:
            yield text
        if follower.is_over:
            return
        if not more:
            time.sleep(PAUSE_SECONDS)


async def later_pieces(follower: Follower) -> AsyncIterator[bytes]:
    """Tell events to an asynchronous server."""
    yield follower.opening
    while True:
        text, more = await sync_to_async(follower.look)()
        if text:
            yield text
        if follower.is_over:
            return
        if not more:
            await asyncio.sleep(PAUSE_SECONDS)


def _event(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _shape(event: FeedEvent) -> dict[str, Any]:
    return {
        "item": str(event.item),
        "namespace": event.namespace,
        "engine": event.engine,
        "seq": event.seq,
        "kind": event.kind,
        "version": event.version,
        "actor": event.actor,
        "at": event.at.isoformat(),
    }
