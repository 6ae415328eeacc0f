"""Read and set what operators configure while work runs: limits, schedules, triggers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.params import functions as param
from ninja.responses import Status

from console.api import shapes
from console.api.conditions import asked_of, located, once
from console.api.pagination import Pages, after_pair, after_words, cursor_of, rest_of
from console.api.reach import item_of, require_named
from console.api.routes import new_router, route
from console.api.schemas.items import ItemHead
from console.api.schemas.rows import (
    LimitIn,
    LimitOut,
    Limits,
    ScheduleIn,
    ScheduleOut,
    Schedules,
    TriggerIn,
    TriggerOut,
    Triggers,
)
from console.callers import Caller, caller_of
from runtime import clock
from runtime.models import Schedule, WorkItem
from runtime.operations.limits import remove_limit, set_limit
from runtime.operations.schedule_moves import pause_schedule, resume_schedule, run_schedule
from runtime.operations.schedules import find_schedule, remove_schedule, set_schedule
from runtime.operations.triggers import remove_trigger, set_trigger
from runtime.queries import limits, schedules, triggers
from runtime.store import work_database

router = new_router("configuration")

A_SCHEDULE = "/schedules/{namespace}/{name}"


@route(router, "GET", "/limits", "listLimits", gives={200: Limits}, permission="view_limit", everywhere=True)
def list_limits(request: HttpRequest, paging: Query[Pages]) -> dict[str, Any]:
    """List limits by name, with what runs under them."""
    names = [name for name in LimitOut.model_fields if name not in ("running", "steps_allowed_now")]
    start = after_words(paging.cursor, 1)
    page = limits.page(after=start[0] if start else "", limit=paging.limit)
    told = [
        {name: getattr(view.limit, name) for name in names}
        | {"running": view.running, "steps_allowed_now": view.tokens}
        for view in page.rows
    ]
    return {"limits": told, "next": cursor_of(page.rows[-1].limit.name, more=True) if page.more else None}


@route(router, "PUT", "/limits/{name}", "setLimit", gives={200: LimitOut}, permission="change_limit", everywhere=True)
def put_limit(request: HttpRequest, name: str, body: LimitIn) -> Any:
    """Make a limit, or change one; it holds from the next claim on."""
    return set_limit(name, by=caller_of(request).by, **body.given)


@route(
    router,
    "DELETE",
    "/limits/{name}",
    "removeLimit",
    gives={204: None},
    permission="delete_limit",
    everywhere=True,
    refuses=(404,),
)
def delete_limit(request: HttpRequest, name: str) -> Status[None]:
    """Remove a limit."""
    remove_limit(name, by=caller_of(request).by)
    return Status(204, None)


@route(router, "GET", "/schedules", "listSchedules", gives={200: Schedules}, permission="view_schedule")
def list_schedules(
    request: HttpRequest, paging: Query[Pages], namespace: str = param.Query("", max_length=100)
) -> dict[str, Any]:
    """List schedules, with their next runs."""
    caller = caller_of(request)
    page = schedules.page(namespaces=caller.within(namespace), after=after_pair(paging.cursor), limit=paging.limit)
    told: dict[str, Any] = {"schedules": [_schedule(view, caller) for view in page.rows], "next": None}
    if page.more:
        last = page.rows[-1].schedule
        told["next"] = cursor_of(last.namespace, last.name, more=True)
    return told


def _schedule(view: schedules.ScheduleView, caller: Caller) -> dict[str, Any]:
    told = {"times": view.times, "next_runs": list(view.next_runs), "trouble": view.trouble}
    names = [name for name in ScheduleOut.model_fields if name not in told]
    shown = {name: getattr(view.schedule, name) for name in names} | told
    if view.schedule.error and not caller.reads_payload:
        shown["trouble"] = "It failed, and this caller may not read why."
    return shown | {"payload": _template(view.schedule.payload, caller, "change_schedule")}


def _template(payload: Any, caller: Caller, edits: str) -> Any:
    """Return the payload that a rule gives its items: as it is for who edits it, since they send it back."""
    if caller.reads_payload and caller.may(edits):
        return payload
    return shapes.contents(payload, caller)


def _viewed(row: Schedule, caller: Caller) -> dict[str, Any]:
    return _schedule(schedules.view(row, clock.now(work_database())), caller)


@route(router, "GET", A_SCHEDULE, "getSchedule", gives={200: ScheduleOut}, permission="view_schedule", refuses=(404,))
def get_schedule(request: HttpRequest, namespace: str, name: str) -> dict[str, Any]:
    """Read a schedule."""
    require_named(request, namespace, "schedule", name)
    return _viewed(find_schedule(name, namespace=namespace, using=work_database()), caller_of(request))


@route(router, "PUT", A_SCHEDULE, "setSchedule", gives={200: ScheduleOut}, permission="change_schedule")
def put_schedule(request: HttpRequest, namespace: str, name: str, body: ScheduleIn) -> dict[str, Any]:
    """Make a schedule, or change one; new times hold from now on."""
    caller = caller_of(request)
    said = {key: value for key, value in body.given.items() if value is not None or key == "payload"}
    return _viewed(set_schedule(name, namespace=caller.namespace(namespace), by=caller.by, **said), caller)


@route(router, "DELETE", A_SCHEDULE, "removeSchedule", gives={204: None}, permission="delete_schedule", refuses=(404,))
def delete_schedule(request: HttpRequest, namespace: str, name: str) -> Status[None]:
    """Remove a schedule; what it has enqueued stays."""
    require_named(request, namespace, "schedule", name)
    remove_schedule(name, namespace=namespace, by=caller_of(request).by)
    return Status(204, None)


@route(
    router,
    "POST",
    f"{A_SCHEDULE}/pause",
    "pauseSchedule",
    gives={200: ScheduleOut},
    permission="change_schedule",
    refuses=(404, 409),
)
def stop_schedule(request: HttpRequest, namespace: str, name: str) -> dict[str, Any]:
    """Keep a schedule from firing."""
    return _move_schedule(request, namespace, name, pause_schedule)


@route(
    router,
    "POST",
    f"{A_SCHEDULE}/resume",
    "resumeSchedule",
    gives={200: ScheduleOut},
    permission="change_schedule",
    refuses=(404, 409),
)
def restart_schedule(request: HttpRequest, namespace: str, name: str) -> dict[str, Any]:
    """Let a paused schedule fire again."""
    return _move_schedule(request, namespace, name, resume_schedule)


def _move_schedule(request: HttpRequest, namespace: str, name: str, move: Callable[..., Schedule]) -> dict[str, Any]:
    require_named(request, namespace, "schedule", name)
    caller = caller_of(request)
    moved = once(
        asked_of(request),
        lambda: (move(name, namespace=namespace, by=caller.by), None),
        lambda _about: find_schedule(name, namespace=namespace, using=work_database()),
    )
    return _viewed(moved, caller)


@route(
    router,
    "POST",
    f"{A_SCHEDULE}/run",
    "runSchedule",
    gives={201: ItemHead, 200: ItemHead},
    permission="run_schedule",
    refuses=(404,),
)
def fire_schedule(request: HttpRequest, response: HttpResponse, namespace: str, name: str) -> Status[Any]:
    """Enqueue what a schedule enqueues, now, beside its own times: 201, or 200 for what the same request enqueued."""
    require_named(request, namespace, "schedule", name)

    def work() -> tuple[tuple[int, WorkItem], str]:
        made = run_schedule(name, namespace=namespace, by=caller_of(request).by)
        return (201, made), str(made.pk)

    status, item = once(asked_of(request), work, lambda about: (200, item_of(request, uuid.UUID(about))))
    located(request, response, item.pk)
    return Status(status, item)


@route(router, "GET", "/triggers", "listTriggers", gives={200: Triggers}, permission="view_trigger", everywhere=True)
def list_triggers(request: HttpRequest, paging: Query[Pages]) -> dict[str, Any]:
    """List triggers, rows and those of the settings."""
    caller = caller_of(request)
    rows, following = rest_of(triggers.views(), lambda view: (str(view.values["name"]), view.source, ""), paging)
    return {"triggers": [_trigger(view.values, view.source, caller) for view in rows], "next": following}


def _trigger(values: Mapping[str, Any], source: str, caller: Caller) -> dict[str, Any]:
    payload = _template(values["payload"], caller, "change_trigger")
    return {**values, "source": source, "payload": payload}


@route(
    router,
    "PUT",
    "/triggers/{name}",
    "setTrigger",
    gives={200: TriggerOut},
    permission="change_trigger",
    everywhere=True,
)
def put_trigger(request: HttpRequest, name: str, body: TriggerIn) -> dict[str, Any]:
    """Make a trigger, or change one; it holds within a second."""
    caller = caller_of(request)
    row = set_trigger(name, by=caller.by, **body.given)
    return _trigger({name: getattr(row, name) for name in TriggerOut.model_fields if name != "source"}, "row", caller)


@route(
    router,
    "DELETE",
    "/triggers/{name}",
    "removeTrigger",
    gives={204: None},
    permission="delete_trigger",
    everywhere=True,
    refuses=(404,),
)
def delete_trigger(request: HttpRequest, name: str) -> Status[None]:
    """Remove a trigger; what it has enqueued stays."""
    remove_trigger(name, by=caller_of(request).by)
    return Status(204, None)
