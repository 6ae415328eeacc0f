"""Read what there is beside items: what people are asked, engines, workers, resources, and how many items there are."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.params import functions as param

from console.api import shapes
from console.api.callers import caller_of
from console.api.pagination import Paging, after_id, after_number, cursor
from console.api.routes import new_router, route
from console.api.schemas.history import WaitPage
from console.api.schemas.kinds import Switch
from console.api.schemas.rows import CapacityIn, CapacityOut, EngineOut, Engines, ResourcePage, Stats, Workers
from runtime import registry
from runtime.choices import State
from runtime.exceptions import EngineLoadError, InvalidInput, NotFound
from runtime.operations.resource_capacity import set_capacity
from runtime.queries import items, overview, resources, waits, windows, workers
from runtime.queries.items import ItemFilter
from runtime.queries.waits import FOR_PEOPLE

router = new_router("fleet")

VIEW = "view_workitem"


@route(router, "GET", "/approvals", "listApprovals", gives={200: WaitPage}, permission="view_wait")
def list_approvals(
    request: HttpRequest,
    paging: Query[Paging],
    namespace: str = param.Query("", max_length=100),
    kind: str = param.Query("", max_length=20),
) -> dict[str, Any]:
    """List what people are asked, newest first: approvals and inputs that are open."""
    caller = caller_of(request)
    kinds = [str(one) for one in FOR_PEOPLE]
    if kind and kind not in kinds:
        raise InvalidInput(f"kind is {kind!r}; it must be one of {', '.join(kinds)}.", field="kind")
    page = waits.page(
        kinds=[kind] if kind else kinds,
        within=caller.within(namespace),
        before=after_id(paging.cursor),
        limit=paging.limit,
    )
    told = [shapes.wait(one, one.work_item, caller) for one in page.rows]
    return {"waits": told, "next": cursor(page.rows[-1].pk if page.rows else None, more=page.more)}


@route(router, "GET", "/engines", "listEngines", gives={200: Engines}, permission=VIEW)
def list_engines(request: HttpRequest) -> dict[str, Any]:
    """List the registered engines, with the JSON schema of what they take where they tell it."""
    return {"engines": [_engine(name) for name in registry.names()]}


@route(router, "GET", "/engines/{name}", "getEngine", gives={200: EngineOut}, permission=VIEW, refuses=(404,))
def get_engine(request: HttpRequest, name: str) -> dict[str, Any]:
    """Read one engine."""
    if name not in registry.names():
        raise NotFound(f"There is no engine {name!r}.")
    return _engine(name)


def _engine(name: str) -> dict[str, Any]:
    told = {"name": name, "loads": False, "version": "", "lane": "", "state_schema": 1, "payload_schema": None}
    try:
        engine = registry.get(name)
    except EngineLoadError:
        return told
    return told | {
        "loads": True,
        "version": engine.version,
        "lane": "async" if engine.is_async else "atomic",
        "state_schema": engine.state_schema,
        "payload_schema": engine.payload_schema,
    }


@route(router, "GET", "/workers", "listWorkers", gives={200: Workers}, permission="view_worker", everywhere=True)
def list_workers(request: HttpRequest, offline: Switch = False) -> dict[str, Any]:
    """List worker processes, newest first; with `offline` those that have stopped too."""
    names = ("id", "host", "pid", "state", "desired_state", "engines", "pools", "capacity", "started_at")
    told = [
        {name: getattr(view.worker, name) for name in names}
        | {"running": view.running, "alive": view.alive, "beat_age": view.beat_age}
        for view in workers.views(offline=offline)
    ]
    return {"workers": told}


@route(router, "GET", "/resources", "listResources", gives={200: ResourcePage}, permission="view_resource")
def list_resources(
    request: HttpRequest,
    paging: Query[Paging],
    namespace: str = param.Query("", max_length=100),
    key: str = param.Query("", max_length=200),
    idle: Switch = False,
) -> dict[str, Any]:
    """List resources of a namespace with who holds and wants them; with `idle` those that nobody does too."""
    start = after_number(paging.cursor, 0)
    if start < 0:
        raise InvalidInput("The cursor is none that was given out here.", field="cursor")
    page = resources.page(
        namespace=caller_of(request).namespace(namespace), key=key, after=start, limit=paging.limit, busy=not idle
    )
    return {"resources": page.rows, "next": cursor(start + paging.limit, more=page.more)}


@route(
    router, "PUT", "/resources/{namespace}/{key}", "setCapacity", gives={200: CapacityOut}, permission="change_resource"
)
def change_capacity(request: HttpRequest, namespace: str, key: str, body: CapacityIn) -> Any:
    """Set how many units of a resource may be held at once."""
    caller = caller_of(request)
    return set_capacity(key, body.capacity, namespace=caller.namespace(namespace), by=caller.by)


@route(router, "GET", "/stats", "getStats", gives={200: Stats}, permission=VIEW)
def get_stats(request: HttpRequest, namespace: str = param.Query("", max_length=100)) -> dict[str, Any]:
    """Count the items in each state: of a namespace, or of all for who reaches all."""
    caller = caller_of(request)
    if not namespace and caller.namespaces is None:
        counts = {one.state: one.count for one in overview.standings()}
    else:
        namespace = caller.namespace(namespace)
        counts = {
            state: windows.figure(items.matching(ItemFilter(states=(state,), namespace=namespace)))
            for state in State.values
        }
    told = [{"state": state, "count": count.value, "kind": count.kind} for state, count in counts.items()]
    return {"namespace": namespace, "states": told}
