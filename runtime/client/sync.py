"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from runtime.client import calls, verbs, wire
from runtime.client.call import Call, ItemId, following
from runtime.client.exchange import Answer, Flow, Heard, Lost, Pause, Retries, Send, ended, exchange
from runtime.client.following import Following
from runtime.client.shapes import Happened, Page, Reset

P = ParamSpec("P")
T = TypeVar("T")


def one(make: Callable[P, Call[T]]) -> Callable[Concatenate[Client, P], T]:
    """Return the method that makes the call and returns what its answer tells."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._play(exchange(make(*args, **kwargs), self._retries))

    return wire.described(method, make)


def each(make: Callable[P, Call[Page[T]]]) -> Callable[Concatenate[Client, P], Iterator[T]]:
    """Return the method that goes through all rows of a list, page by page."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        call: Call[Page[T]] | None = make(*args, **kwargs)
        while call is not None:
            page = self._play(exchange(call, self._retries))
            yield from page.rows
            call = following(call, page)

    return wire.described(method, make)


def streamed(make: Callable[P, Call[None]]) -> Callable[Concatenate[Client, P], Iterator[Happened | Reset]]:
    """Return the method that follows a stream for as long as it is asked for the next event."""

    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[Happened | Reset]:
        return self._follow(Following(call=make(*args, **kwargs), retries=self._retries))

    return wire.described(method, make)


class Client:
    """Roost over HTTP. `url` is the API's address, `timeout` how many seconds an answer may take.

    Close it after use, or use it in a `with`. Threads may share one.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        retries: Retries | None = None,
        timeout: float = 10.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries, self._timeout = retries or Retries(), timeout
        self._http = httpx.Client(transport=transport, **wire.options(url, token))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    enqueue = one(calls.enqueue)
    enqueue_many = one(calls.enqueue_many)
    get = one(calls.get)
    outcome = one(calls.outcome)

    items = each(calls.items)
    events = each(calls.events)
    approvals = each(calls.approvals)
    signals = each(calls.signals)
    dead_letters = each(calls.dead_letters)

    stream = streamed(calls.stream)

    cancel = one(verbs.cancel)
    requeue = one(verbs.requeue)
    redrive = one(verbs.redrive)
    redrive_many = one(verbs.redrive_many)
    pause = one(verbs.pause)
    resume = one(verbs.resume)
    approve = one(verbs.approve)
    reject = one(verbs.reject)
    respond = one(verbs.respond)
    signal = one(verbs.signal)

    def wait(self, item: ItemId, *, timeout: float | None = None) -> Any:
        """Return an item's result when it is done, within `timeout` seconds.

        Raises `WorkFailed`, `NotEnded` for an item that goes on, and what every call raises: where the API did not
        answer in that time, the last reason.
        """
        return self._play(ended(item, self._retries, timeout=timeout))

    def _play(self, flow: Flow[T]) -> T:
        heard: Heard = None
        while True:
            try:
                step = flow.send(heard)
            except StopIteration as end:
                found: T = end.value
                return found
            heard = self._do(step)

    def _do(self, step: Send | Pause) -> Heard:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return wire.answer(self._http.send(wire.request(self._http, step.call, self._timeout, step.within)))
        except httpx.RequestError as error:
            return Lost(error=error)

    def _follow(self, place: Following) -> Iterator[Happened | Reset]:
        while True:
            try:
                yield from self._follow_once(place)
            except httpx.RequestError as error:
                place.lost(error)
            time.sleep(place.pause)

    def _follow_once(self, place: Following) -> Iterator[Happened | Reset]:
        response = self._http.send(wire.stream_request(self._http, place.call, self._timeout), stream=True)
        try:
            if response.status_code != 200:
                response.read()
                place.opened(wire.answer(response))
                return
            place.opened(Answer(status=200, headers=response.headers))
            for piece in response.iter_bytes():
                yield from place.take(piece)
            place.ended()
        finally:
            response.close()
