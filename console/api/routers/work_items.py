"""Enqueue, find and read work items."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.params import functions as param
from ninja.responses import Status

from console.api import shapes
from console.api.conditions import key_of, located, tagged, unchanged
from console.api.masking import masked
from console.api.pagination import Paging, after_id, cursor
from console.api.problems import Refusal
from console.api.reach import ended_of, item_of, outcome_of
from console.api.reading import bounded
from console.api.routes import KEY_OF_AN_ITEM, new_router, route
from console.api.schemas.items import (
    EnqueuedItems,
    Item,
    ItemFilters,
    ItemPage,
    NewItem,
    NewItems,
    Outcome,
    ValueOut,
)
from console.api.waiting import until_ended
from console.callers import VIEW_PAYLOAD, Caller, caller_of
from console.departures import departure_of
from runtime.choices import TERMINAL, State
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.models.workitem import new_id
from runtime.operations.enqueue import PERMISSION, enqueue
from runtime.operations.enqueue_many import enqueue_many
from runtime.queries import items, values
from runtime.queries.items import ItemFilter

router = new_router("work items")

VIEW = "view_workitem"


@route(
    router,
    "POST",
    "/work-items",
    "enqueueWorkItem",
    gives={201: Item, 200: Item},
    permission=PERMISSION,
    refuses=(404, 409),
    key=KEY_OF_AN_ITEM,
)
def enqueue_item(request: HttpRequest, response: HttpResponse, body: NewItem) -> Status[Item]:
    """Enqueue a work item: 201, or 200 with the item that the same request made before."""
    caller = caller_of(request)
    options = _options(request, body, {}, key_of(request))
    wanted = options["item_id"] = new_id()
    stored = enqueue(body.engine, body.payload, by=caller.by, **options)
    tagged(response, stored)
    located(request, response, stored.pk)
    return Status(201 if stored.pk == wanted else 200, shapes.item(stored, caller))


@route(
    router,
    "POST",
    "/work-items/bulk",
    "enqueueWorkItems",
    gives={200: EnqueuedItems},
    permission=PERMISSION,
    refuses=(404, 409),
    key=KEY_OF_AN_ITEM,
)
def enqueue_items(request: HttpRequest, body: NewItems) -> dict[str, Any]:
    """Enqueue many work items, all or none. With Idempotency-Key, an item without a key has `<key>:<place>`."""
    most: int = roost.API_MAX_BULK
    if len(body.items) > most:
        raise InvalidInput(f"{len(body.items)} items are more than one request takes ({most}).", field="items")
    key = key_of(request)
    owners: dict[uuid.UUID, str] = {}
    specs = []
    for place, one in enumerate(body.items):
        options = _options(request, one, owners, None if key is None else f"{key}:{place}", several=True)
        specs.append({"engine": one.engine, "payload": one.payload, "item_id": new_id(), **options})
    stored = enqueue_many(specs, by=caller_of(request).by)
    made = zip(specs, stored, strict=True)
    return {"items": [{"id": item, "created": item == spec["item_id"]} for spec, item in made]}


def _options(
    request: HttpRequest, body: NewItem, owners: dict[uuid.UUID, str], key: str | None, *, several: bool = False
) -> dict[str, Any]:
    """Return the options of an item, in a namespace that the caller reaches. Raises `Forbidden`, `NotFound`.

    `owners` remembers the namespaces of parents that were looked up.
    """
    options = body.options
    said = options.get("idempotency_key")
    if key is not None and said is None:
        options["idempotency_key"] = key
    elif key is not None and said != key and not several:
        raise Refusal(422, "invalid", "Idempotency-Key and idempotency_key differ. Send one of them.")
    if "parent" in options:
        owner = _namespace_of(request, options["parent"], owners)
        if options.setdefault("namespace", owner) != owner:
            raise InvalidInput("A child lives in its parent's namespace: leave it out.", field="namespace")
    else:
        options["namespace"] = caller_of(request).namespace(options.get("namespace", ""))
    return options


def _namespace_of(request: HttpRequest, parent: uuid.UUID, owners: dict[uuid.UUID, str]) -> str:
    if parent not in owners:
        with bounded():
            owners[parent] = item_of(request, parent).namespace
    return owners[parent]


@route(router, "GET", "/work-items", "listWorkItems", gives={200: ItemPage}, permission=VIEW)
def list_items(request: HttpRequest, filters: Query[ItemFilters], paging: Query[Paging]) -> dict[str, Any]:
    """List work items, newest first."""
    page = items.page(wanted_of(caller_of(request), filters), before=after_id(paging.cursor), limit=paging.limit)
    last = page.rows[-1].pk if page.rows else None
    return {"items": page.rows, "next": cursor(last, more=page.more)}


def wanted_of(caller: Caller, filters: ItemFilters) -> ItemFilter:
    """Return what is meant, within what the caller reaches; a key is looked up in one namespace."""
    return ItemFilter(
        states=tuple(filters.state),
        reason=filters.reason,
        engine=filters.engine,
        fingerprint=filters.fingerprint,
        parent=filters.parent,
        key=filters.key,
        within=caller.within(caller.namespace(filters.namespace) if filters.key else filters.namespace),
    )


@route(
    router,
    "GET",
    "/work-items/{uuid:item_id}",
    "getWorkItem",
    gives={200: Item, 304: None},
    permission=VIEW,
    refuses=(404,),
)
def get_item(request: HttpRequest, response: HttpResponse, item_id: uuid.UUID) -> Status[Item | None]:
    """Read a work item; its ETag is the number of its last write, which progress is not."""
    found = item_of(request, item_id)
    tagged(response, found)
    same = unchanged(request, found)
    if same and found.state != State.RUNNING:
        return Status(304, None)
    shown = shapes.item(found, caller_of(request))
    return Status(304, None) if same and shown.progress is None else Status(200, shown)


@route(
    router,
    "GET",
    "/work-items/{uuid:item_id}/result",
    "getResult",
    gives={200: Outcome, 202: Outcome},
    permission=VIEW_PAYLOAD,
    refuses=(404,),
    holds=False,
)
def get_result(
    request: HttpRequest, response: HttpResponse, item_id: uuid.UUID, wait: float = param.Query(0, ge=0, le=3600)
) -> Status[dict[str, Any]]:
    """Read what came of an item: 200 when it has ended, 202 when it has not, after `wait` seconds at the most."""
    with bounded():
        found = outcome_of(request, item_id)
    if wait and found.state not in TERMINAL:
        came_of_it = until_ended(item_id, wait, departure_of(request))
        with bounded():
            found = ended_of(request, item_id, came_of_it)
    ended = found.state in TERMINAL
    told = {"id": found.pk, "state": found.state, "reason": found.reason, "ended": ended, "version": found.version}
    told |= {"finished_at": found.finished_at, "error": masked(found.last_error) if ended else None}
    tagged(response, found)
    if not ended:
        response.headers["Retry-After"] = "1"
        return Status(202, told)
    return Status(200, told | {"result": masked(values.result_of(found))})


@route(
    router,
    "GET",
    "/work-items/{uuid:item_id}/value/{place}",
    "getValue",
    gives={200: ValueOut},
    permission=VIEW_PAYLOAD,
    refuses=(404,),
    holds=False,
)
def get_value(
    request: HttpRequest, item_id: uuid.UUID, place: str, version: int | None = param.Query(None, ge=0, le=2**63 - 1)
) -> dict[str, Any]:
    """Read the payload, the result or a state of an item whole, also one kept in the artifact storage."""
    with bounded():
        item_of(request, item_id)
    found = values.read(item_id, place, version=version)
    return {"place": found.place, "version": found.version, "value": masked(found.value)}
