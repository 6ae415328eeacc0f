"""Do a verb to all items that match, as items of their own: durable, each with a result for everything it was done to.

Only verbs whose effect can be looked through beforehand, and taken back or repeated: no forks, no signals, no holds.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from django.http import HttpRequest, HttpResponse
from ninja import Query
from ninja.params import functions as param
from ninja.responses import Status

from console.all_matching import tally
from console.api.conditions import asked_of, located, once
from console.api.heavy import heavy
from console.api.reading import bounded
from console.api.routers.work_items import wanted_of
from console.api.routes import new_router, route
from console.api.schemas.items import ItemFilters
from console.api.schemas.many import (
    Many,
    ManyExplained,
    ManyIn,
    ManyPauseIn,
    ManyPreview,
    ManyPriorityIn,
    ManyRedriveIn,
    ManyResumeIn,
    ManyStarted,
)
from console.bulk import MOST, PARTS, start_all
from console.callers import Caller, caller_of
from console.item_actions import ACTIONS
from runtime.exceptions import InvalidInput
from runtime.models import WorkItem
from runtime.operations.acknowledge import Acknowledge
from runtime.operations.base import OnItem
from runtime.operations.cancel import Cancel
from runtime.operations.pause import Pause
from runtime.operations.prioritise import Prioritise
from runtime.operations.redrive import Redrive
from runtime.operations.requeue import Requeue
from runtime.operations.resume import Resume
from runtime.queries import items

router = new_router("verbs for many")

V = TypeVar("V", bound=Callable[..., Any])
SAID = frozenset({"reason", "all", "dry_run"})
"""Fields that every body has; the others are the verb's."""


def verb(name: str, called: str, operation: type[OnItem]) -> Callable[[V], V]:
    """Make a view the route of a verb for many."""
    return route(
        router,
        "POST",
        f"/work-items/verbs/{name}",
        called,
        gives={200: ManyPreview, 202: ManyStarted},
        permission=operation.permission,
    )


@verb("cancel", "cancelWorkItems", Cancel)
def cancel(
    request: HttpRequest, response: HttpResponse, filters: Query[ItemFilters], body: ManyIn = param.Body(ManyIn())
) -> Status[Any]:
    """End all that match and have not ended, with their children: 202 with the items that do it."""
    return _done(request, response, "cancel", filters, body)


@verb("requeue", "requeueWorkItems", Requeue)
def requeue(
    request: HttpRequest, response: HttpResponse, filters: Query[ItemFilters], body: ManyIn = param.Body(ManyIn())
) -> Status[Any]:
    """Make all that match due at once: 202 with the items that do it."""
    return _done(request, response, "requeue", filters, body)


@verb("redrive", "redriveWorkItems", Redrive)
def redrive(
    request: HttpRequest,
    response: HttpResponse,
    filters: Query[ItemFilters],
    body: ManyRedriveIn = param.Body(ManyRedriveIn()),
) -> Status[Any]:
    """Bring back all dead letters that match: 202 with the items that do it."""
    return _done(request, response, "redrive", filters, body)


@verb("pause", "pauseWorkItems", Pause)
def pause(
    request: HttpRequest,
    response: HttpResponse,
    filters: Query[ItemFilters],
    body: ManyPauseIn = param.Body(ManyPauseIn()),
) -> Status[Any]:
    """Keep all that match from going on: 202 with the items that do it."""
    return _done(request, response, "pause", filters, body)


@verb("resume", "resumeWorkItems", Resume)
def resume(
    request: HttpRequest,
    response: HttpResponse,
    filters: Query[ItemFilters],
    body: ManyResumeIn = param.Body(ManyResumeIn()),
) -> Status[Any]:
    """Let all that match and are paused go on: 202 with the items that do it."""
    return _done(request, response, "resume", filters, body)


@verb("acknowledge", "acknowledgeWorkItems", Acknowledge)
def acknowledge(
    request: HttpRequest, response: HttpResponse, filters: Query[ItemFilters], body: ManyExplained
) -> Status[Any]:
    """Acknowledge all dead letters that match: 202 with the items that do it."""
    return _done(request, response, "acknowledge", filters, body)


@verb("prioritise", "prioritiseWorkItems", Prioritise)
def prioritise(
    request: HttpRequest, response: HttpResponse, filters: Query[ItemFilters], body: ManyPriorityIn
) -> Status[Any]:
    """Change the priority of all that match: 202 with the items that do it."""
    return _done(request, response, "prioritise", filters, body)


def _done(request: HttpRequest, response: HttpResponse, name: str, filters: ItemFilters, body: Any) -> Status[Any]:
    """Start it once, or tell what it would do; nothing is started where nothing matches."""
    caller = caller_of(request)
    _check_choice(filters, body)
    rows = items.matching(wanted_of(caller, filters))
    said = {key: value for key, value in body.given.items() if key not in SAID}
    if body.dry_run:
        with heavy():
            return Status(200, _preview(name, caller, rows, said))

    def work() -> tuple[Status[Any], Any]:
        with bounded():
            found = list(rows.values_list("pk", "namespace")[: MOST * PARTS + 1])
        if not found:
            return Status(200, _preview(name, caller, rows, said)), None
        asked = {"by": caller.by, "caller": caller, "reason": body.reason, "values": said}
        made = start_all(_action(name), found[: MOST * PARTS], click=uuid.uuid4().hex, **asked)
        count = min(len(found), MOST * PARTS)
        told = {"items": [str(one.work.pk) for one in made], "count": count, "more": len(found) > count}
        return Status(202, told), told

    def again(about: Any) -> Status[Any]:
        return Status(200, _preview(name, caller, rows, said)) if about is None else Status(202, about)

    with heavy():
        answer = once(asked_of(request), work, again)
    if answer.status_code == 202:
        located(request, response, uuid.UUID(answer.value["items"][0]))
    return answer


def _check_choice(filters: ItemFilters, body: Many) -> None:
    """Raise `InvalidInput` where nothing says which items: nothing is not all."""
    if not body.all and not filters.model_dump(exclude_defaults=True):
        told = 'Say which items: a filter in the address, or "all": true in the body for every one.'
        raise InvalidInput(told, field="all")


def _action(name: str) -> Any:
    return next(action for action in ACTIONS if action.name == name)


def _preview(name: str, caller: Caller, rows: Any, said: Collection[str]) -> dict[str, Any]:
    found = tally(_action(name), rows, most=MOST * PARTS, by=caller.by)
    if found is None:
        return {"count": None, "eligible": None, "needed": [], "skipped": [], "more": None}
    skipped = [{"count": one.count, "why": one.why, "item": _id_of(one.item)} for one in found.skipped]
    needed = [{"count": one.count, "field": one.name} for one in found.needed if one.name not in said]
    return {
        "count": found.count,
        "eligible": found.eligible,
        "needed": needed,
        "skipped": skipped,
        "more": found.cut,
    }


def _id_of(item: WorkItem | None) -> uuid.UUID | None:
    return None if item is None else item.pk
