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
from functools import partial
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


LEAST_TRY = 1.0
"""A wait's questions have so many seconds to be answered, however few it may last: else nothing could be asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Send:
    """Send this, and have its answer within so many seconds, where that is said."""

    call: Call[Any]
    within: float | None = None


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


class _NoTime(Exception):
    """The time is over, or will be before there could be another try. `error` is what came of the last one."""

    def __init__(self, error: Refused | Unreachable | UnexpectedAnswer) -> None:
        super().__init__(str(error))
        self.error = error


def exchange(call: Call[T], retries: Retries) -> Flow[T]:
    """Have the call answered. Raises `Refused`, `Unreachable`, `UnexpectedAnswer`."""
    return _answered(lambda: call, retries, lambda: None)


def _answered(ask: Callable[[], Call[T]], retries: Retries, time_left: Callable[[], float | None]) -> Flow[T]:
    """Have what `ask` asks answered in the time that is left. Raises what `exchange` does, and `_NoTime`."""
    failures = 0
    while True:
        call = ask()
        heard = yield Send(call=call, within=time_left())
        if isinstance(heard, Answer) and heard.status < 300:
            return call.read(_decoded(heard))
        failures += 1
        error = failed(heard, failures)
        seconds = retries.pause(failures, getattr(error, "retry_after", None)) if _may_pass(call, heard) else None
        if seconds is None:
            raise error
        left = time_left()
        if left is not None and seconds >= left:
            raise _NoTime(error)
        yield Pause(seconds=seconds)


def ended(
    item: ItemId, retries: Retries, *, timeout: float | None = None, now: Callable[[], float] = time.monotonic
) -> Flow[Any]:
    """Wait until an item ends, `timeout` seconds at most, and return its result.

    Raises `WorkFailed`, `NotEnded` where the last that was heard is that it goes on, and what `exchange` raises.
    """
    began, found = now(), None

    def time_left(least: float = 0.0) -> float | None:
        return None if timeout is None else began + max(timeout, least) - now()

    while True:
        asked = now()
        try:
            ask = partial(_poll, item, time_left)
            found = yield from _answered(ask, retries, partial(time_left, LEAST_TRY))
        except _NoTime as no_time:
            if found is None:
                raise no_time.error from None
            yield Pause(seconds=max(0.0, time_left() or 0.0))
            raise NotEnded(found, timeout or 0.0) from no_time.error
        if found.ended:
            return _result(found)
        pause, left = max(0.0, LEAST_PAUSE - (now() - asked)), time_left()
        if timeout is not None and left is not None and left <= pause:
            yield Pause(seconds=max(0.0, left))
            raise NotEnded(found, timeout)
        if pause:
            yield Pause(seconds=pause)


def _poll(item: ItemId, time_left: Callable[[], float | None]) -> Call[Outcome]:
    """Return the question for an item's end, which leaves a second, or a part of it, for the answer's way."""
    left = time_left()
    longest = LONGEST_WAIT if left is None else max(0.0, left - min(1.0, left / 4))
    return outcome(item, wait=min(longest, LONGEST_WAIT))


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
