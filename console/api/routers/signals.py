"""Send signals to names, and look at those that nobody has taken."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.params import functions as param
from ninja.responses import Status

from console.api import shapes
from console.api.conditions import key_of
from console.api.pagination import Paging, after_id, cursor
from console.api.routes import KEY_OF_A_SIGNAL, new_router, route
from console.api.schemas.history import SignalPage
from console.api.schemas.kinds import Switch
from console.api.schemas.verbs import NamedSignalIn, SignalIn, SignalSent
from console.callers import caller_of
from runtime.operations.signal import SendSignal
from runtime.queries import signals

router = new_router("signals")


@route(router, "GET", "/signals", "listSignals", gives={200: SignalPage}, permission="view_signal")
def list_signals(
    request: HttpRequest,
    paging: Query[Paging],
    namespace: str = param.Query("", max_length=100),
    name: str = param.Query("", max_length=200),
    item: uuid.UUID | None = param.Query(None, description="Those that were sent to this item alone."),
    taken: Switch = False,
) -> dict[str, Any]:
    """List signals that nobody has taken yet, newest first; with `taken` the others too."""
    caller = caller_of(request)
    page = signals.page(
        name=name,
        item=item,
        taken=taken,
        within=caller.within(namespace),
        before=after_id(paging.cursor),
        limit=paging.limit,
    )
    told = [shapes.signal(one, caller) for one in page.rows]
    return {"signals": told, "next": cursor(page.rows[-1].pk if page.rows else None, more=page.more)}


@route(
    router,
    "POST",
    "/signals",
    "sendSignal",
    gives={201: SignalSent, 200: SignalSent},
    permission=SendSignal.permission,
    refuses=(404, 409),
    key=KEY_OF_A_SIGNAL,
)
def signal_name(request: HttpRequest, body: NamedSignalIn) -> Status[dict[str, Any]]:
    """Send a signal to whoever waits for its name in a namespace, now or later: 201, or 200 for one sent before."""
    return sent(request, body, namespace=caller_of(request).namespace(body.namespace or ""))


def sent(request: HttpRequest, body: SignalIn, **where: Any) -> Status[dict[str, Any]]:
    """Send it. The signal's own delivery id, which lives as long as the signal, sees to it that there is one."""
    delivery = body.delivery_id if body.delivery_id is not None else key_of(request)
    sending = SendSignal(body.name, body.payload, delivery_id=delivery, by=caller_of(request).by, **where)
    kept = sending.execute()
    return Status(201 if sending.made else 200, {"id": kept})
