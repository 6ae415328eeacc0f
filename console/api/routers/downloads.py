"""Hand out the bytes of artifacts: always as attachments, whole or in part."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.core.files.base import File
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import content_disposition_header

from console.api.callers import VIEW_PAYLOAD
from console.api.problems import Refusal
from console.api.reach import item_of
from console.api.reading import bounded
from console.api.routes import new_router, route
from runtime import artifacts as content
from runtime.models import Artifact
from runtime.queries import artifacts

router = new_router("work items")

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")
SANDBOX = "sandbox; default-src 'none'"


class Attachment(StreamingHttpResponse):
    """Bytes of a file, which is closed with the answer, also when nobody read it."""

    def __init__(self, source: File[bytes], pieces: Any, **options: Any) -> None:
        super().__init__(pieces, **options)
        self._source = source

    def close(self) -> None:
        """Close the file."""
        self._source.close()
        super().close()


@route(
    router,
    "GET",
    "/work-items/{uuid:item_id}/artifacts/{uuid:artifact_id}/content",
    "downloadArtifact",
    gives={200: None, 206: None, 304: None},
    permission=VIEW_PAYLOAD,
    refuses=(404, 416),
    holds=False,
)
def download(request: HttpRequest, item_id: uuid.UUID, artifact_id: uuid.UUID) -> Any:
    """Download a file of an item; `Range: bytes=…` asks for a part of it."""
    with bounded():
        found = artifacts.get(item_of(request, item_id).pk, str(artifact_id))
        path = found.blob.path
    tag = f'"{found.sha256}"'
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers={"ETag": tag})
    first, last = _part(request, found, tag)
    source = content.open_content(path)
    return _answer(request, source, found, tag, first, last)


def _part(request: HttpRequest, found: Artifact, tag: str) -> tuple[int, int]:
    """Return the first and the last byte that are asked for. Raises `Refusal` (416) for what is not there."""
    whole = (0, found.size - 1)
    asked = RANGE.match(request.headers.get("Range", ""))
    if asked is None or request.headers.get("If-Range", tag) != tag or asked[1] == asked[2] == "":
        return whole
    if not asked[1]:
        first, last = max(0, found.size - int(asked[2])), found.size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2] or found.size), found.size - 1)
    if not 0 <= first <= last:
        told = f"The file has {found.size} bytes."
        raise Refusal(416, "range", told, headers={"Content-Range": f"bytes */{found.size}"})
    return first, last


def _answer(request: HttpRequest, source: File[bytes], found: Artifact, tag: str, first: int, last: int) -> Attachment:
    part = last - first + 1 != found.size
    pieces = _pieces(source, first, last - first + 1)
    response = Attachment(
        source,
        _later(pieces) if isinstance(request, ASGIRequest) else pieces,
        status=206 if part else 200,
        content_type=found.content_type,
        headers={
            "Accept-Ranges": "bytes",
            "Content-Disposition": content_disposition_header(True, found.name) or "attachment",
            "Content-Length": str(last - first + 1),
            "Content-Security-Policy": SANDBOX,
            "ETag": tag,
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
