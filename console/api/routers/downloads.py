"""Hand out the bytes of artifacts, to who may read them, and to whom they gave a link."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from ninja import Query, Schema
from pydantic import Field, SecretStr

from console import links
from console.api.conditions import space_of
from console.api.problems import Problem, Refusal
from console.api.reach import item_of
from console.api.reading import bounded
from console.api.routes import EVERY_ROUTE, new_router, route
from console.api.schemas.history import LinkOut
from console.api.throttle import take
from console.attachments import OutOfRange, attached
from console.callers import VIEW_PAYLOAD, caller_of
from runtime.exceptions import InvalidInput
from runtime.models import Artifact
from runtime.queries import artifacts

router = new_router("work items")

OF = "/work-items/{uuid:item_id}/artifacts/{uuid:artifact_id}"
BYTES = {200: None, 206: None, 304: None}
NOT_GOOD = "There is no file at this address, or the link to it is not good."
OVER = "This link has expired. Ask whoever gave it to you for a new one."


class LinkIn(Schema):
    """For how long a link shall be good."""

    seconds: int | None = Field(None, ge=1, description="An hour, if left out; ROOST_API_LINK_SECONDS at the most.")


class Given(Schema):
    """What an address carries that was made by `linkArtifact`."""

    link: SecretStr = Field(max_length=links.LONGEST, description="As it stands in that address.")


@route(
    router,
    "GET",
    OF + "/content",
    "downloadArtifact",
    gives=BYTES,
    permission=VIEW_PAYLOAD,
    refuses=(404, 416),
    holds=False,
)
def download(request: HttpRequest, item_id: uuid.UUID, artifact_id: uuid.UUID) -> Any:
    """Download a file of an item; `Range: bytes=…` asks for a part of it."""
    with bounded():
        found = artifacts.get(item_of(request, item_id).pk, str(artifact_id))
        path = found.blob.path
    return _handed_out(request, found, path)


@route(router, "GET", OF + "/link", "linkArtifact", gives={200: LinkOut}, permission=VIEW_PAYLOAD)
def link_artifact(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, artifact_id: uuid.UUID, asked: Query[LinkIn]
) -> dict[str, Any]:
    """Make an address from which anybody downloads the file for a while, without a token. It ends with your token"""
    found = artifacts.get(item_of(request, item_id).pk, str(artifact_id))
    try:
        link = links.make(found, caller_of(request), asked.seconds)
    except InvalidInput as error:
        errors = [{"field": "query.seconds", "message": str(error)}]
        raise Refusal(422, "invalid", str(error), errors=errors) from None
    response.headers["Cache-Control"] = "no-store"
    return {"url": links.address(request, link, space_of(request)), "expires_at": link.expires_at}


@router.get(
    "/downloads",
    operation_id=links.ROUTE,
    summary="Download a file by a link that somebody made, without a token; `Range: bytes=…` asks for a part of it",
    url_name=links.ROUTE,
    auth=None,
    response={**BYTES, **dict.fromkeys((404, 410, 416, *sorted({*EVERY_ROUTE} - {401, 403})), Problem)},
)
def download_by_link(request: HttpRequest, given: Query[Given]) -> Any:
    """Hand out the file that a link is to: 404 for a link that is not good, 410 for one that was."""
    links.conceal(request)
    link = links.read(given.link.get_secret_value())
    if link is None:
        raise Refusal(404, "not_found", NOT_GOOD)
    take(f"link:{link.artifact}")
    with bounded():
        if links.is_over(link):
            raise Refusal(410, "link_expired", OVER)
        found = links.file_of(link)
    if found is None:
        raise Refusal(404, "not_found", NOT_GOOD)
    return _handed_out(request, found, found.blob.path)


def _handed_out(request: HttpRequest, found: Artifact, path: str) -> HttpResponseBase:
    try:
        return attached(request, found, path)
    except OutOfRange as error:
        raise Refusal(416, "range", str(error), headers={"Content-Range": error.content_range}) from None
