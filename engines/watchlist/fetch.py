"""Fetch a page once and say what was seen. What goes wrong outside is an observation, never an error."""

from __future__ import annotations

import datetime as dt
import hashlib
import time
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from runtime.exceptions import RefusedAddress
from runtime.outgoing import opened

TIMEOUT_SECONDS = 8.0
MAX_BYTES = 128 * 1024
MAX_REDIRECTS = 3
MAX_ERROR = 300
HEADERS = {"User-Agent": "roost-watchlist/1"}


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
        async with opened("GET", url, headers=HEADERS, timeout=TIMEOUT_SECONDS, redirects=MAX_REDIRECTS) as response:
            seen |= {"url": str(response.url), "status": response.status_code}
            seen |= await _body(response)
            seen["ok"] = response.is_success
    except TimeoutError:
        seen["error"] = f"no complete answer within {TIMEOUT_SECONDS:g} s"
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, RefusedAddress) as error:
        seen["error"] = _describe(error)
    return Observation(n=n, at=at, elapsed_ms=round((time.monotonic() - started) * 1000), **seen)


async def _body(response: httpx.Response) -> dict[str, Any]:
    """Read at most `MAX_BYTES` of the body, whatever its encoding."""
    digest, size, truncated = hashlib.sha256(), 0, False
    async for chunk in response.aiter_raw(8192):
        room = MAX_BYTES - size
        truncated = len(chunk) > room
        digest.update(chunk[:room])
        size += min(len(chunk), room)
        if truncated:
            break
    return {"bytes": size, "truncated": truncated, "sha256": digest.hexdigest()}


def _describe(error: Exception) -> str:
    """Return the error in words that JSON and the database hold, whatever the other side sent."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error)).strip()
    return f"{type(error).__name__}: {text}"[:MAX_ERROR] if text else type(error).__name__
