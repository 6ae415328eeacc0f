"""Hand out the bytes of artifacts."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest

from console.api.callers import VIEW_PAYLOAD
from console.api.problems import Refusal
from console.api.reach import item_of
from console.api.reading import bounded
from console.api.routes import new_router, route
from console.attachments import OutOfRange, attached
from runtime.queries import artifacts

router = new_router("work items")


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
    try:
        return attached(request, found, path)
    except OutOfRange as error:
        raise Refusal(416, "range", str(error), headers={"Content-Range": error.content_range}) from None
