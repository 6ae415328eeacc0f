"""Fetch a page once and say what was seen. What goes wrong outside is an observation, never an error."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import ipaddress
import time
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from engines.payload import url_trouble

TIMEOUT_SECONDS = 8.0
MAX_BYTES = 128 * 1024
MAX_REDIRECTS = 3
MAX_ERROR = 300
HEADERS = {
    "User-Agent": "roost-watchlist/1",
    # Content as it is on the wire: a small answer cannot unfold into a large one.
    "Accept-Encoding": "identity",
}


class Refused(Exception):
    """The page led somewhere that is not followed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """One look at a page.

    `ok`: it answered with a 2xx status. `bytes` and `sha256` are those of the body, up to `MAX_BYTES` of it
    (`truncated`). `url` is where redirects led. `error` says why there is no status. Times: UTC; milliseconds.
    """

    n: int
    at: str
    url: str
    ok: bool
    elapsed_ms: int
    status: int | None = None
    error: str = ""
    bytes: int = 0
    truncated: bool = False
    sha256: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


async def observe(url: str, n: int) -> Observation:
    """Fetch `url` for the `n`th time; all of it takes at most `TIMEOUT_SECONDS`. What it finds raises nothing."""
    at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    started = time.monotonic()
    seen: dict[str, Any] = {"url": url, "ok": False}
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS), _client(url) as client:
            response = await _follow(client, url)
            seen |= {"url": str(response.url), "status": response.status_code}
            seen |= await _body(response)
            seen["ok"] = response.is_success
    except TimeoutError:
        seen["error"] = f"no complete answer within {TIMEOUT_SECONDS:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, Refused, UnicodeError) as error:
        seen["error"] = _describe(error)
    return Observation(n=n, at=at, elapsed_ms=round((time.monotonic() - started) * 1000), **seen)


def _client(url: str) -> httpx.AsyncClient:
    # A page on this machine is fetched directly, whatever proxy the environment names for the rest of the world.
    return httpx.AsyncClient(
        headers=HEADERS, timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=not _is_local(url)
    )


def _is_local(url: str) -> bool:
    host = httpx.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _follow(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """Return the answer, its body unread, after at most `MAX_REDIRECTS` redirects to http and https addresses."""
    request = client.build_request("GET", url)
    for _ in range(MAX_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        if response.next_request is None:
            return response
        await response.aclose()
        request = response.next_request
        trouble = url_trouble(str(request.url))
        if trouble:
            raise Refused(f"redirected to {str(request.url)[:100]}: {trouble}")
    raise Refused(f"redirected more than {MAX_REDIRECTS} times")


async def _body(response: httpx.Response) -> dict[str, Any]:
    """Read at most `MAX_BYTES` of the body, then let go of the connection."""
    digest, size, truncated = hashlib.sha256(), 0, False
    try:
        async for chunk in response.aiter_raw(8192):
            room = MAX_BYTES - size
            truncated = len(chunk) > room
            digest.update(chunk[:room])
            size += min(len(chunk), room)
            if truncated:
                break
    finally:
        await response.aclose()
    return {"bytes": size, "truncated": truncated, "sha256": digest.hexdigest()}


def _describe(error: Exception) -> str:
    """Return the error in words that JSON and the database hold, whatever the other side sent."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error)).strip()
    return f"{type(error).__name__}: {text}"[:MAX_ERROR] if text else type(error).__name__
