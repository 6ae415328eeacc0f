"""Hand out the bytes of artifacts: always as attachments, whole or in part, so that no browser makes a page of them.

Whether they may be read is for whoever calls this to ask: the API, and the admin.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.core.files.base import File
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from console.connections import give_back_connection
from runtime import artifacts as content
from runtime.models import Artifact

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
SANDBOX = "sandbox; default-src 'none'"
UNKEPT = "no-store"
"""A cache on the way would hand the file out when it may not be read any more."""


class OutOfRange(Exception):
    """A part was asked for that the file does not have; `content_range` is the header that says how large it is."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes.")
        self.content_range = f"bytes */{size}"


class Attachment(StreamingHttpResponse):
    """Bytes of a file, which is closed with the answer, also when nobody read it."""

    def __init__(self, source: File[bytes], pieces: Any, **options: Any) -> None:
        super().__init__(pieces, **options)
        self._source = source

    def close(self) -> None:
        """Close the file."""
        self._source.close()
        super().close()


def attached(request: HttpRequest, found: Artifact, path: str, *, content_type: str = "") -> HttpResponseBase:
    """Return the answer with the file's bytes, or with the part that `Range: bytes=…` asks for.

    `path` is its name in the storage, `content_type` what it is in place of what it says of itself. No connection is
    kept for as long as the client takes the file: what is asked of the database is asked before. Raises
    `OutOfRange`, `CorruptArtifact` when its content is gone, `StorageUnavailable`.
    """
    give_back_connection()
    tag = f'"{found.sha256}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers={"Cache-Control": UNKEPT, "ETag": tag})
    first, last = _part(request, found, tag)
    source = content.open_content(path)
    return _answer(request, source, found, tag, first, last, content_type or found.content_type)


def _part(request: HttpRequest, found: Artifact, tag: str) -> tuple[int, int]:
    """Return the first and the last byte that are asked for. Raises `OutOfRange` for what is not there."""
    whole = (0, found.size - 1)
    asked = RANGE.match(request.headers.get("Range", ""))
    if asked is None or request.headers.get("If-Range", tag) != tag or asked[1] == asked[2] == "":
        return whole
    if not asked[1]:
        first, last = max(0, found.size - int(asked[2])), found.size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2] or found.size), found.size - 1)
    if not 0 <= first <= last:
        raise OutOfRange(found.size)
    return first, last


def _answer(
    request: HttpRequest, source: File[bytes], found: Artifact, tag: str, first: int, last: int, content_type: str
) -> Attachment:
    part = last - first + 1 != found.size
    pieces = _pieces(source, first, last - first + 1)
    response = Attachment(
        source,
        _later(pieces) if isinstance(request, ASGIRequest) else pieces,
        status=206 if part else 200,
        content_type=content_type,
        headers={
            "Accept-Ranges": "bytes",
            "Cache-Control": UNKEPT,
            "Content-Disposition": content_disposition_header(True, found.name) or "attachment",
            "Content-Length": str(last - first + 1),
            "Content-Security-Policy": SANDBOX,
            "ETag": tag,
            "X-Content-Type-Options": "nosniff",
        },
    )
    if part:
        response.headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    return response


def _pieces(source: File[bytes], first: int, length: int) -> Iterator[bytes]:
    with source:
        source.seek(first)
        while length > 0:
            piece = source.read(min(length, content.CHUNK_BYTES))
            if not piece:
                return
            length -= len(piece)
            yield piece


async def _later(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give the pieces to an asynchronous server one by one: it would read all of them first."""
    while (piece := await sync_to_async(partial(next, pieces, b""))()) != b"":
        yield piece
