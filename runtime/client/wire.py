"""What both clients say to httpx, and how their methods are made of calls."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpx

from runtime.client.call import Call
from runtime.client.exchange import Answer
from runtime.client.following import QUIET_SECONDS

LEAST = 0.001
"""Seconds of a timeout: a socket takes none at all for not waiting, and says something else then."""

M = TypeVar("M", bound=Callable[..., Any])


def options(url: str, token: str) -> dict[str, Any]:
    """Return what an httpx client of the API at this address is made with."""
    return {"base_url": url, "headers": {"Authorization": f"Bearer {token}", "Accept": "application/json"}}


class Shrinking(dict[str, float | None]):
    """Timeouts of a request none of which is longer than what is left of the time for all of it.

    httpx asks for the timeout of each phase as that begins: of the connection, of what is sent, of what is read.
    """

    def __init__(self, usual: Mapping[str, float | None], seconds: float) -> None:
        super().__init__(usual)
        self._end = time.monotonic() + seconds

    def get(self, name: str, default: Any = None) -> Any:
        """Return the seconds that a phase has, which are never none at all."""
        left, usual = max(LEAST, self._end - time.monotonic()), super().get(name, default)
        return left if usual is None else min(usual, left)


def request(
    http: httpx.Client | httpx.AsyncClient, call: Call[Any], seconds: float, within: float | None = None
) -> httpx.Request:
    """Return the request for a call, which has so many seconds, and those that it takes by itself.

    All of it ends `within` so many, where that is said.
    """
    found = http.build_request(
        call.method,
        call.address,
        params=list(call.query) or None,
        json=call.body,
        headers=dict(call.headers),
        timeout=httpx.Timeout(seconds, read=seconds + call.seconds),
    )
    if within is not None:
        found.extensions["timeout"] = Shrinking(found.extensions["timeout"], within)
    return found


def stream_request(http: httpx.Client | httpx.AsyncClient, call: Call[Any], seconds: float) -> httpx.Request:
    """Return the request for a stream, whose server shows every few seconds that it lives."""
    found = request(http, call, seconds)
    found.extensions["timeout"] = httpx.Timeout(seconds, read=max(seconds, QUIET_SECONDS)).as_dict()
    return found


def answer(response: httpx.Response) -> Answer:
    """Return what came back; its body has been read."""
    return Answer(status=response.status_code, headers=response.headers, content=response.content)


def described(method: M, make: Callable[..., Any]) -> M:
    """Give a method the name, the words and the parameters of the call that it makes."""
    signature, oneself = inspect.signature(make), inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__name__, method.__qualname__, method.__doc__ = make.__name__, make.__qualname__, make.__doc__
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[oneself, *signature.parameters.values()], return_annotation=inspect.Signature.empty
    )
    return method
