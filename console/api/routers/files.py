"""List the files of work items, and take more of them."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import File, Form, Query, Schema, UploadedFile
from ninja.responses import Status
from pydantic import Field

from console.api import shapes, sniffing
from console.api.conditions import asked_of, expected, once, space_of
from console.api.pagination import Paging, after_id, cursor
from console.api.problems import Refusal
from console.api.reach import item_of
from console.api.reading import bounded
from console.api.routes import IF_MATCH, new_router, route
from console.api.schemas.history import ArtifactOut, ArtifactPage
from console.callers import Caller, caller_of
from runtime import artifacts as content
from runtime.artifacts import Prepared
from runtime.choices import ArtifactKind
from runtime.conf import settings as roost
from runtime.exceptions import TooLarge
from runtime.models import Artifact
from runtime.operations.attach import Attach
from runtime.operations.once import done_before
from runtime.queries import artifacts

router = new_router("work items")

OF = "/work-items/{uuid:item_id}/artifacts"
FILE = "file"


class UploadIn(Schema):
    """What a file is called, and what it is for people."""

    name: str = Field("", max_length=255, description="The file's own name, if left out.")
    kind: ArtifactKind = ArtifactKind.OTHER


@route(
    router,
    "GET",
    OF,
    "listArtifacts",
    gives={200: ArtifactPage},
    permission="view_artifact",
    refuses=(404,),
)
def list_artifacts(request: HttpRequest, item_id: uuid.UUID, paging: Query[Paging]) -> dict[str, Any]:
    """List an item's files, oldest first."""
    found, caller = item_of(request, item_id), caller_of(request)
    page = artifacts.page(found.pk, after=after_id(paging.cursor), limit=paging.limit)
    told = [_told(one, caller) for one in page.rows]
    return {"artifacts": told, "next": cursor(page.rows[-1].pk if page.rows else None, more=page.more)}


@route(
    router,
    "POST",
    OF,
    "uploadArtifact",
    gives={201: ArtifactOut, 200: ArtifactOut},
    permission=Attach.permission,
    refuses=(404, 411, 412),
    headers=(IF_MATCH,),
)
def upload(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, file: File[UploadedFile], form: Form[UploadIn]
) -> Status[dict[str, Any]]:
    """Give an item a file, in whatever state it is: 201, or 200 for a file that is there already."""
    caller, seen = caller_of(request), expected(request)
    _refuse_more(request)
    with bounded():
        item_of(request, item_id)
    prepared = _prepared(file, form)
    asked = asked_of(request, prepared.name, prepared.kind, prepared.sha256)
    operation = Attach(item_id, prepared, by=caller.by, row_version=seen)
    kept = None if asked is not None and done_before(asked)[0] else operation.keep()

    def work() -> tuple[tuple[int, Artifact], str]:
        made, fresh = operation.attach(kept)
        return (201 if fresh else 200, made), str(made.pk)

    status, made = once(asked, work, lambda about: (200, artifacts.get(item_id, about)))
    address = {"item_id": item_id, "artifact_id": made.pk}
    response.headers["Location"] = reverse(f"{space_of(request)}downloadArtifact", kwargs=address)
    return Status(status, _told(made, caller))


def _told(found: Artifact, caller: Caller) -> dict[str, Any]:
    told = {name: getattr(found, name) for name in ArtifactOut.model_fields}
    return told | {"metadata": shapes.contents(found.metadata, caller)}


def _refuse_more(request: HttpRequest) -> None:
    """Raise `Refusal` for parts of the form that are unknown here, or come twice."""
    files, fields = request.FILES, request.POST
    wrong = [name for name in files if name != FILE or len(files.getlist(name)) > 1]
    wrong += [name for name in fields if name not in UploadIn.model_fields or len(fields.getlist(name)) > 1]
    if wrong:
        told = f"A form has one file and at most one of each of {', '.join(UploadIn.model_fields)}."
        errors = [{"field": f"body.{name}", "message": "unknown, or given twice"} for name in wrong]
        raise Refusal(422, "invalid", told, errors=errors)


def _prepared(file: UploadedFile, form: UploadIn) -> Prepared:
    """Check and hash what came. Raises `TooLarge`, `InvalidInput`."""
    most: int = min(roost.API_MAX_UPLOAD_BYTES, roost.MAX_ARTIFACT_BYTES)
    if (file.size or 0) > most:
        raise TooLarge(f"The file has {file.size} bytes; at most {most} are taken.", field=FILE)
    name, data = form.name or file.name or "", file.read()
    return content.prepare(name, data, kind=form.kind, content_type=sniffing.content_type(data, name))
