"""Read what happened to a work item, and what belongs to it."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.params import functions as param

from console.api import shapes
from console.api.pagination import Paging, after_id, after_number, cursor
from console.api.reach import item_of
from console.api.routes import new_router, route
from console.api.schemas.history import (
    AttemptPage,
    CallPage,
    EventPage,
    SnapshotPage,
    StoryOut,
    Verified,
    WaitPage,
    WhyOut,
)
from console.api.schemas.items import ItemPage
from console.api.stories import story
from console.callers import caller_of
from runtime.queries import attempts, explain, items, journal, timeline, verify, waits, why
from runtime.queries.items import ItemFilter

router = new_router("work items")

VIEW = "view_workitem"
OF = "/work-items/{uuid:item_id}"


@route(router, "GET", f"{OF}/events", "listEvents", gives={200: EventPage}, permission="view_event", refuses=(404,))
def list_events(request: HttpRequest, item_id: uuid.UUID, paging: Query[Paging]) -> dict[str, Any]:
    """List what happened to an item, oldest first; `next` goes on where this ended, also later."""
    found, caller = item_of(request, item_id), caller_of(request)
    start = after_number(paging.cursor, 0)
    page = timeline.events(found.pk, after=start, limit=paging.limit)
    last = page.rows[-1].seq if page.rows else start
    told = [shapes.event(one, caller) for one in page.rows]
    return {"events": told, "next": cursor(last, more=True), "more": page.more}


@route(
    router,
    "GET",
    f"{OF}/snapshots",
    "listSnapshots",
    gives={200: SnapshotPage},
    permission="view_snapshot",
    refuses=(404,),
)
def list_snapshots(request: HttpRequest, item_id: uuid.UUID, paging: Query[Paging]) -> dict[str, Any]:
    """List an item's states, oldest first."""
    found, caller = item_of(request, item_id), caller_of(request)
    page = timeline.history(found.pk, after=after_number(paging.cursor, -1), limit=paging.limit)
    last = page.rows[-1].version if page.rows else None
    return {"snapshots": [shapes.snapshot(one, caller) for one in page.rows], "next": cursor(last, more=page.more)}


@route(
    router, "GET", f"{OF}/journal", "listCalls", gives={200: CallPage}, permission="view_journalentry", refuses=(404,)
)
def list_calls(
    request: HttpRequest, item_id: uuid.UUID, paging: Query[Paging], state: str = param.Query("", max_length=20)
) -> dict[str, Any]:
    """List the calls that an item's steps recorded, oldest first."""
    found, caller = item_of(request, item_id), caller_of(request)
    page = journal.page(found, after=after_number(paging.cursor, 0), limit=paging.limit, state=state)
    last = page.rows[-1].entry.pk if page.rows else None
    return {"calls": [shapes.call(one, caller) for one in page.rows], "next": cursor(last, more=page.more)}


@route(
    router, "GET", f"{OF}/attempts", "listAttempts", gives={200: AttemptPage}, permission="view_event", refuses=(404,)
)
def list_attempts(request: HttpRequest, item_id: uuid.UUID, paging: Query[Paging]) -> dict[str, Any]:
    """List every try of every step, oldest first."""
    found, caller = item_of(request, item_id), caller_of(request)
    page = attempts.attempts(found.pk, after=after_number(paging.cursor, 0), limit=paging.limit)
    told = [
        {name: getattr(one, name) for name in one.__slots__} | {"error": shapes.contents(one.error, caller)}
        for one in page.rows
    ]
    return {"attempts": told, "next": cursor(page.rows[-1].seq if page.rows else None, more=page.more)}


@route(router, "GET", f"{OF}/children", "listChildren", gives={200: ItemPage}, permission=VIEW, refuses=(404,))
def list_children(request: HttpRequest, item_id: uuid.UUID, paging: Query[Paging]) -> dict[str, Any]:
    """List an item's children, newest first."""
    wanted = ItemFilter(parent=item_of(request, item_id).pk, within=caller_of(request).within())
    page = items.page(wanted, before=after_id(paging.cursor), limit=paging.limit)
    return {"items": page.rows, "next": cursor(page.rows[-1].pk if page.rows else None, more=page.more)}


@route(router, "GET", f"{OF}/waits", "listItemWaits", gives={200: WaitPage}, permission="view_wait", refuses=(404,))
def list_waits(request: HttpRequest, item_id: uuid.UUID) -> dict[str, Any]:
    """List what an item has asked for from the version it is at."""
    found, caller = item_of(request, item_id), caller_of(request)
    return {"waits": [shapes.wait(view.wait, found, caller) for view in waits.of_item(found)], "next": None}


@route(router, "GET", f"{OF}/why", "explainWhy", gives={200: WhyOut}, permission=VIEW, refuses=(404,))
def explain_why(request: HttpRequest, item_id: uuid.UUID) -> dict[str, Any]:
    """Say exactly why an item is where it is."""
    item = item_of(request, item_id)
    item.last_error = shapes.contents(item.last_error, caller_of(request))
    found = why.why(item)
    causes = [{"code": cause.code, "text": cause.text, "data": cause.data} for cause in found.causes]
    return {"item": found.item, "state": found.state, "at": found.at, "text": found.text, "causes": causes}


@route(router, "GET", f"{OF}/explain", "explainRun", gives={200: StoryOut}, permission="view_payload", refuses=(404,))
def explain_run(request: HttpRequest, item_id: uuid.UUID, paging: Query[Paging]) -> dict[str, Any]:
    """Tell a run from its beginning, in sentences and step by step."""
    item, caller = item_of(request, item_id), caller_of(request)
    for name in shapes.SECRET:
        setattr(item, name, shapes.contents(getattr(item, name), caller))
    run = explain.explain(item, after=after_number(paging.cursor, 0), limit=paging.limit)
    return {**story(run, caller), "next": cursor(run.next, more=run.next is not None)}


@route(router, "GET", f"{OF}/verify", "verifyItem", gives={200: Verified}, permission=VIEW, refuses=(404,))
def verify_item(request: HttpRequest, item_id: uuid.UUID) -> dict[str, Any]:
    """Check the invariants of an item: what must hold and does not."""
    found = verify.item(item_of(request, item_id).pk)
    return {"problems": [{"item": one.item, "code": one.code, "text": one.text} for one in found]}
