"""Have a call answered, and wait for an item's end: what to send, how long to pause, when to give up.

Generators without IO. They give a `Send` or a `Pause`, are sent the `Answer` or the `Lost` that came of it, and return
the result; `sync` and `later` play them over httpx.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from runtime.client.call import Call, ItemId
from runtime.client.calls import LONGEST_WAIT, outcome
from runtime.client.errors import NotEnded, Refused, UnexpectedAnswer, Unreachable, WorkFailed, refusal
from runtime.client.shapes import Outcome

T = TypeVar("T")

PASSING = frozenset({429, 502, 503, 504})
"""Statuses that say "not now"."""
DONE = "done"
LEAST_PAUSE = 1.0
"""A long poll that is answered sooner, since nobody may wait there now, is asked again after so long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """Send this."""

    call: Call[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back; the names of `headers` have small letters."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """Nothing came back, or not all of it."""

    error: Exception


Heard = Answer | Lost | None
Flow = Generator[Send | Pause, Heard, T]


@dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """How often a call that may be sent again is: `times` more, after pauses that double up to `longest` seconds.

    Retry-After is waited for up to `patience` seconds; what asks for more is raised at once.
    """

    times: int = 4
    first: float = 0.25
    longest: float = 8.0
    patience: float = 60.0

    def pause(self, failures: int, retry_after: float | None = None, *, chance: float | None = None) -> float | None:
        """Return the seconds to pause after so many failures in a row, None to give up."""
        if failures > self.times or (retry_after is not None and retry_after > self.patience):
            return None
        draw = random.random() if chance is None else chance  # noqa: S311 - spreads load, guards nothing
        backoff = min(self.longest, self.first * 2.0 ** min(failures - 1, 32)) * (0.5 + draw / 2)
        return max(backoff, retry_after or 0.0)


def exchange(call: Call[T], retries: Retries) -> Flow[T]:
    """Have the call answered. Raises `Refused`, `Unreachable`, `UnexpectedAnswer`."""
    failures = 0
    while True:
        heard = yield Send(call=call)
        if isinstance(heard, Answer) and heard.status < 300:
            return call.read(_decoded(heard))
        failures += 1
        error = failed(heard, failures)
        seconds = retries.pause(failures, getattr(error, "retry_after", None)) if _may_pass(call, heard) else None
        if seconds is None:
            raise error
        yield Pause(seconds=seconds)


def ended(
    item: ItemId, retries: Retries, *, timeout: float | None = None, now: Callable[[], float] = time.monotonic
) -> Flow[Any]:
    """Wait until an item ends, `timeout` seconds at most, and return its result. Raises `WorkFailed`, `NotEnded`."""
    began = now()
    while True:
        asked = now()
        left = LONGEST_WAIT if timeout is None else max(0.0, began + timeout - asked)
        found: Outcome = yield from exchange(outcome(item, wait=min(left, LONGEST_WAIT)), retries)
        if found.ended:
            return _result(found)
        answered = now()
        if timeout is not None and answered - began >= timeout:
            raise NotEnded(found, timeout)
        if answered - asked < LEAST_PAUSE:
            yield Pause(seconds=LEAST_PAUSE - (answered - asked))


def failed(heard: Heard, times: int) -> Refused | Unreachable | UnexpectedAnswer:
    """Return the error for what came of the last of so many tries."""
    if isinstance(heard, Answer):
        if heard.status >= 400:
            return refusal(heard.status, heard.headers, heard.content)
        where = f" to {heard.headers['location']}" if "location" in heard.headers else ""
        return UnexpectedAnswer(f"The answer is {heard.status}{where}: is this the API's address?")
    error = heard.error if heard is not None else None
    unreachable = Unreachable(f"No answer in {times} tries: {type(error).__name__}: {error}")
    unreachable.__cause__ = error
    return unreachable


def _may_pass(call: Call[Any], heard: Heard) -> bool:
    passing = not isinstance(heard, Answer) or heard.status in PASSING
    return passing and call.repeatable


def _decoded(answer: Answer) -> Any:
    try:
        return json.loads(answer.content)
    except ValueError:
        raise UnexpectedAnswer(f"The answer ({answer.status}) is no JSON: is this the API's address?") from None


def _result(found: Outcome) -> Any:
    if found.state != DONE:
        raise WorkFailed(found)
    return found.result
