"""What both clients say to httpx, and how their methods are made of calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from runtime.client.call import Call
from runtime.client.exchange import Answer
from runtime.client.following import QUIET_SECONDS

M = TypeVar("M", bound=Callable[..., Any])


def options(url: str, token: str) -> dict[str, Any]:
    """Return what an httpx client of the API at this address is made with."""
    return {"base_url": url, "headers": {"Authorization": f"Bearer {token}", "Accept": "application/json"}}


def request(http: httpx.Client | httpx.AsyncClient, call: Call[Any], seconds: float) -> httpx.Request:
    """Return the request for a call, which has so many seconds, and those that it takes by itself."""
    return http.build_request(
        call.method,
        call.address,
        params=list(call.query) or None,
        json=call.body,
        headers=dict(call.headers),
        timeout=httpx.Timeout(seconds, read=seconds + call.seconds),
    )


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
