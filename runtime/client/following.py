"""Follow a stream of server-sent events over as many connections as it takes, each event once. No IO.

The server ends a stream after a while, and connections break. The next one goes on from the last id that came; events
that came after it are told again then, and left out here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from runtime.client.call import Call, read_as
from runtime.client.errors import UnexpectedAnswer
from runtime.client.exchange import PASSING, Answer, Heard, Lost, Retries, failed
from runtime.client.shapes import Happened, Reset

LAST_ID = "Last-Event-ID"
AGAIN_SECONDS = 1.0
QUIET_SECONDS = 45.0
"""A stream that shows no life for so long is dead: the server does every 15 seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message of a stream; `id` is the last one that came, `data` empty where the message is only that."""

    kind: str
    data: str
    id: str


class Messages:
    """Reads messages out of bytes as they come."""

    def __init__(self) -> None:
        self.retry: float | None = None
        self._rest = b""
        self._fields: dict[str, str] = {}
        self._id = ""

    def take(self, piece: bytes) -> Iterator[Message]:
        """Yield the messages that these bytes complete."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            text = line.rstrip(b"\r").decode("utf-8", "replace")
            if text:
                self._note(text)
            elif self._fields:
                found, self._fields = self._fields, {}
                self._id = found.get("id", self._id)
                yield Message(kind=found.get("event", "message"), data=found.get("data", ""), id=self._id)

    def _note(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "retry" and value.isdecimal():
            self.retry = int(value) / 1000
        elif name == "data" and "data" in self._fields:
            self._fields["data"] += f"\n{value}"
        elif name in ("data", "event", "id"):
            self._fields[name] = value


@dataclass(kw_only=True, slots=True)
class Following:
    """Where a stream is. `call` is how it goes on, `pause` after how many seconds."""

    call: Call[None]
    retries: Retries
    pause: float = 0.0
    _failures: int = 0
    _messages: Messages = field(default_factory=Messages)
    _told: set[tuple[uuid.UUID, int]] = field(default_factory=set)

    @property
    def cursor(self) -> str:
        """The last id that came."""
        return self.call.headers.get(LAST_ID, "")

    def opened(self, answer: Answer) -> bool:
        """Say whether the answer is a stream; else it is one to try again. Raises as `exchange` does."""
        if answer.status == 200 and answer.headers.get("content-type", "").startswith("text/event-stream"):
            self._messages = Messages()
            return True
        if answer.status == 200:
            raise UnexpectedAnswer("The answer is no stream of events: is this the API's address?")
        self._fail(answer, may_pass=answer.status in PASSING)
        return False

    def take(self, piece: bytes) -> Iterator[Happened | Reset]:
        """Yield what these bytes tell that was not told before."""
        self._failures = 0
        for message in self._messages.take(piece):
            if message.data and (found := self._read(message)) is not None:
                yield found
            if message.id and message.id != self.cursor:
                self.call = replace(self.call, headers={**self.call.headers, LAST_ID: message.id})
                self._told.clear()

    def ended(self) -> None:
        """Note that the server ended the stream, as it does after a while."""
        self.pause = AGAIN_SECONDS if self._messages.retry is None else self._messages.retry

    def lost(self, error: Exception) -> None:
        """Note that the connection broke, or none was made. Raises `Unreachable` after too many in a row."""
        self._fail(Lost(error=error), may_pass=True)

    def _fail(self, heard: Heard, *, may_pass: bool) -> None:
        self._failures += 1
        error = failed(heard, self._failures)
        seconds = self.retries.pause(self._failures, getattr(error, "retry_after", None)) if may_pass else None
        if seconds is None:
            raise error
        self.pause = seconds

    def _read(self, message: Message) -> Happened | Reset | None:
        if message.kind == Reset.kind:
            return Reset(cursor=self.cursor)
        try:
            data = json.loads(message.data)
        except ValueError:
            raise UnexpectedAnswer(f"The event {message.kind!r} has no JSON.") from None
        found = replace(read_as(Happened, data), cursor=self.cursor)
        if (found.item, found.seq) in self._told:
            return None
        self._told.add((found.item, found.seq))
        return found
