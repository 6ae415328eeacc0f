"""Take whole runs elsewhere: as a document that is imported again, and as a page to read offline."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.responses import Status

from console.api import shapes
from console.api.conditions import asked_of, located, once, tagged
from console.api.heavy import heavy
from console.api.masking import cleaned
from console.api.problems import Refusal
from console.api.reach import item_of
from console.api.routes import new_router, route
from console.api.schemas.items import Item
from console.api.schemas.transfer import ExportIn, ImportIn, RunDocument
from console.callers import VIEW_PAYLOAD, Caller, caller_of
from runtime.conf import settings as roost
from runtime.models import WorkItem
from runtime.operations.import_run import ImportRun
from runtime.operations.once import done_before
from runtime.queries.export import export, text_of
from runtime.queries.trace import trace
from runtime.queries.trace_page import page

router = new_router("work items")

OF = "/work-items/{uuid:item_id}"
UNTRUSTED = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
"""For a browser that shows the page in place of keeping it: nothing in it runs, or is fetched."""


@route(
    router, "GET", f"{OF}/export", "exportRun", gives={200: RunDocument}, permission=VIEW_PAYLOAD, refuses=(404, 413)
)
def export_run(request: HttpRequest, item_id: uuid.UUID, asked: Query[ExportIn]) -> HttpResponse:
    """Export a run as one JSON document without the bytes of its files, masked as everything here"""
    item, most = item_of(request, item_id), roost.API_MAX_BODY_BYTES
    redact = roost.API_REDACT or asked.redact
    with heavy():
        text = text_of(export(item.pk, redact=redact, mask=cleaned, most=most), most=most)
    return HttpResponse(text, content_type="application/json", headers=_as_file(f"run-{item.pk}.json"))


@route(router, "GET", f"{OF}/trace", "traceRun", gives={200: None}, permission=VIEW_PAYLOAD, refuses=(404,))
def trace_run(request: HttpRequest, item_id: uuid.UUID) -> HttpResponse:
    """Give a run as one page of HTML to read offline, masked as in the admin, always as a file"""
    item = item_of(request, item_id)
    with heavy():
        text = page(trace(item))
    headers = {**_as_file(f"run-{item.pk}.html"), "Content-Security-Policy": UNTRUSTED}
    # What a mask returns may hold half a surrogate pair, which no file can.
    return HttpResponse(text.encode(errors="replace"), content_type="text/html; charset=utf-8", headers=headers)


def _as_file(name: str) -> dict[str, str]:
    """Return the headers by which a browser keeps an answer as a file."""
    return {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}


@route(
    router,
    "POST",
    "/work-items/import",
    "importRun",
    gives={201: Item, 200: Item},
    permission=ImportRun.permission,
    refuses=(404,),
)
def import_run(request: HttpRequest, response: HttpResponse, body: RunDocument, asked: Query[ImportIn]) -> Status[Any]:
    """Store a copy of an exported run, ended or paused: 201, or 200 for the copy that the same request made"""
    caller = caller_of(request)
    _refuse_bytes(body)
    operation = ImportRun(
        bytes(request.body), namespace=_namespace(caller, body, asked), by=caller.by, reason=asked.reason
    )
    key = asked_of(request)
    with heavy():
        copy = None if key is not None and done_before(key)[0] else operation.read()

        def work() -> tuple[tuple[int, WorkItem], str]:
            made = operation.write(operation.read() if copy is None else copy)
            return (201, made), str(made.pk)

        status, made = once(key, work, lambda about: (200, item_of(request, uuid.UUID(about))))
    tagged(response, made)
    located(request, response, made.pk)
    return Status(status, shapes.item(made, caller))


def _namespace(caller: Caller, body: RunDocument, asked: ImportIn) -> str:
    """Return the namespace that is named, else the run's. Raises `Forbidden` for one out of reach."""
    of_the_run = body.item.get("namespace")
    return caller.namespace(asked.namespace or (of_the_run if isinstance(of_the_run, str) else ""))


def _refuse_bytes(body: RunDocument) -> None:
    """Raise `Refusal` for a document with files: they are uploaded, which looks at each of them and counts it."""
    if any("content" in file for file in body.artifacts):
        told = "Documents with the bytes of files are not taken here: export without them, and upload each file."
        raise Refusal(422, "invalid", told, errors=[{"field": "body.artifacts", "message": told}])
