"""Read what there is beside items: what people are asked, engines, workers, resources, and how many items there are."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest
from ninja import Query
from ninja.params import functions as param

from console.api import shapes
from console.api.conditions import asked_of, once
from console.api.pagination import Pages, Paging, after_id, after_pair, after_start, cursor, cursor_of
from console.api.routes import new_router, route
from console.api.schemas.history import WaitPage
from console.api.schemas.kinds import Switch
from console.api.schemas.rows import (
    CapacityIn,
    CapacityOut,
    EngineOut,
    Engines,
    ResourcePage,
    Stats,
    WorkerOut,
    Workers,
)
from console.callers import caller_of
from runtime import registry
from runtime.choices import State
from runtime.exceptions import EngineLoadError, InvalidInput, NotFound
from runtime.models import Worker
from runtime.operations.drain_worker import drain_worker, resume_worker
from runtime.operations.resource_capacity import set_capacity
from runtime.queries import items, overview, resources, waits, windows, workers
from runtime.queries.items import ItemFilter
from runtime.queries.waits import FOR_PEOPLE
from runtime.queries.workers import WorkerView

router = new_router("fleet")

V = TypeVar("V", bound=Callable[..., Any])

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
def list_workers(request: HttpRequest, paging: Query[Pages], offline: Switch = False) -> dict[str, Any]:
    """List worker processes, newest first; with `offline` those that have stopped too."""
    page = workers.page(offline=offline, after=after_start(paging.cursor), limit=paging.limit)
    told: dict[str, Any] = {"workers": [_worker(view) for view in page.rows], "next": None}
    if page.more:
        last = page.rows[-1].worker
        told["next"] = cursor_of(last.started_at.isoformat(), str(last.pk), more=True)
    return told


def _worker(view: WorkerView) -> dict[str, Any]:
    names = ("id", "host", "pid", "state", "desired_state", "engines", "pools", "versions", "capacity", "started_at")
    told = {name: getattr(view.worker, name) for name in names}
    return told | {"running": view.running, "alive": view.alive, "beat_age": view.beat_age}


def worker_verb(path: str, name: str) -> Callable[[V], V]:
    """Make a view the route of a verb for a worker."""
    return route(
        router,
        "POST",
        f"/workers/{{uuid:worker_id}}/{path}",
        name,
        gives={200: WorkerOut},
        permission="change_worker",
        everywhere=True,
        refuses=(404, 409),
    )


@worker_verb("drain", "drainWorker")
def drain(request: HttpRequest, worker_id: uuid.UUID) -> dict[str, Any]:
    """Have a worker finish its steps, give its items back and take no others."""
    return _turn(request, worker_id, drain_worker)


@worker_verb("resume", "resumeWorker")
def resume(request: HttpRequest, worker_id: uuid.UUID) -> dict[str, Any]:
    """Let a worker that drains take work again."""
    return _turn(request, worker_id, resume_worker)


def _turn(request: HttpRequest, worker_id: uuid.UUID, turn: Callable[..., Worker]) -> dict[str, Any]:
    by = caller_of(request).by

    def work() -> tuple[WorkerView, None]:
        turn(worker_id, by=by)
        return workers.find(worker_id), None

    return _worker(once(asked_of(request), work, lambda _about: workers.find(worker_id)))


@route(router, "GET", "/resources", "listResources", gives={200: ResourcePage}, permission="view_resource")
def list_resources(
    request: HttpRequest,
    paging: Query[Paging],
    namespace: str = param.Query("", max_length=100),
    key: str = param.Query("", max_length=200),
    idle: Switch = False,
) -> dict[str, Any]:
    """List resources of a namespace with who holds and wants them; with `idle` those that nobody does too."""
    page = resources.page(
        namespace=caller_of(request).namespace(namespace),
        key=key,
        after=after_pair(paging.cursor),
        limit=paging.limit,
        busy=not idle,
    )
    told: dict[str, Any] = {"resources": page.rows, "next": None}
    if page.more:
        told["next"] = cursor_of(page.rows[-1].namespace, page.rows[-1].key, more=True)
    return told


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
