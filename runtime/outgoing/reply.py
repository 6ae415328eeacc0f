"""What a call out comes back with, read to its end within a number of bytes."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Self

import httpx
from django.views.decorators.debug import sensitive_variables

from runtime.exceptions import ReplyRefused

GZIP_OR_ZLIB = 47
SHOWN = 200


class BadStatus(Exception):
    """The other side answered with a status of 400 or more; `response` is the reply.

    `runtime.errors` reads the status and Retry-After from it: 408, 425, 429 and 5xx are tried again.
    """

    def __init__(self, message: str, response: Reply) -> None:
        super().__init__(message)
        self.response = response


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer. `headers` have small letters; `content` is decompressed; `url` is where redirects led."""

    status: int
    headers: dict[str, str] = field(repr=False)
    content: bytes = field(repr=False)
    url: str = field(default="", repr=False)

    def check(self) -> Self:
        """Return the reply itself. Raises `BadStatus` for 400 or more."""
        if self.status < 400:
            return self
        shown = self.content[:SHOWN].decode("utf-8", "replace")
        raise BadStatus(f"{told(httpx.URL(self.url))} answered {self.status}: {shown!r}", self)


def told(url: httpx.URL) -> str:
    """Return what of a URL may be shown and logged: no path and no query, since either may hold a token."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def bare(error: httpx.TransportError) -> httpx.TransportError:
    """Return the error without its frames, whose variables hold the whole URL and every header: raise it from None."""
    return error.with_traceback(None)


@sensitive_variables()
async def read_reply(response: httpx.Response, max_bytes: int) -> Reply:
    """Read the body, at most `max_bytes` of it on the wire and again decompressed. Raises `ReplyRefused`."""
    where = told(response.url)
    decompress = _Decompressor(response.headers.get("content-encoding", ""), where)
    parts, left, wire = [], max_bytes, max_bytes
    try:
        async for chunk in response.aiter_raw():
            wire -= len(chunk)
            part = decompress.feed(chunk, left + 1)
            left -= len(part)
            if left < 0 or wire < 0:
                raise ReplyRefused(f"{where} answered with more than {max_bytes} bytes. Allow more, or ask for less.")
            parts.append(part)
    except httpx.TransportError as error:
        raise bare(error) from None
    decompress.end()
    return Reply(
        status=response.status_code, headers=dict(response.headers), content=b"".join(parts), url=str(response.url)
    )


class _Decompressor:
    """Decompresses a body without ever holding more than was asked for."""

    def __init__(self, encoding: str, where: str) -> None:
        self.where = where
        self.begun = False
        kind = encoding.strip().lower() or "identity"
        if kind not in ("identity", "gzip", "x-gzip", "deflate"):
            raise ReplyRefused(f"{where} answered in the encoding {kind[:40]!r}, although none was asked for.")
        self.inner = None if kind == "identity" else zlib.decompressobj(GZIP_OR_ZLIB)

    @sensitive_variables()
    def feed(self, chunk: bytes, most: int) -> bytes:
        if self.inner is None or not chunk:
            return chunk
        self.begun = True
        try:
            part = self.inner.decompress(chunk, most)
        except zlib.error as error:
            raise ReplyRefused(f"{self.where} answered with a body that cannot be decompressed: {error}.") from None
        if self.inner.unused_data:
            raise ReplyRefused(f"{self.where} answered with bytes behind the end of its compressed body.")
        return part

    def end(self) -> None:
        if self.inner is not None and self.begun and not self.inner.eof:
            raise ReplyRefused(f"{self.where} answered with a compressed body that has no end.")
