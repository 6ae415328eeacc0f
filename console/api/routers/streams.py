"""Follow what happens to work items."""

from __future__ import annotations

import uuid
from contextlib import ExitStack

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from ninja.params import functions as param

from console.api.problems import Refusal
from console.api.routes import LAST_EVENT_ID, new_router, route
from console.api.streaming import Follower, Stream, Wanted, later_pieces, pieces
from console.api.waiting import place
from console.callers import caller_of

router = new_router("work items")

LONGEST_CURSOR = 10_000


@route(
    router,
    "GET",
    "/events/stream",
    "streamEvents",
    gives={200: None},
    permission="view_event",
    headers=(LAST_EVENT_ID,),
    holds=False,
)
def stream_events(
    request: HttpRequest,
    namespace: str = param.Query("", max_length=100),
    engine: str = param.Query("", max_length=100),
    item: uuid.UUID | None = None,
) -> Stream:
    """Follow events as server-sent events; Last-Event-ID goes on where a stream ended."""
    cursor = request.headers.get("Last-Event-ID", "")
    if len(cursor) > LONGEST_CURSOR:
        raise Refusal(422, "invalid", "Last-Event-ID is none that was given out here.")
    wanted = Wanted(within=caller_of(request).within(namespace), engine=engine, item=item)
    with ExitStack() as held:
        if not held.enter_context(place()):
            raise Refusal(503, "busy", "As many wait here as may. Come again.", headers={"Retry-After": "5"})
        follower = Follower.of(wanted, cursor)
        told = later_pieces(follower) if isinstance(request, ASGIRequest) else pieces(follower)
        return Stream(told, held.pop_all())
