"""Look at dead letters, and treat them, one by one or all that failed alike."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.http import HttpRequest
from ninja import Query
from ninja.params import functions as param

from console.api import shapes
from console.api.conditions import asked_of, once
from console.api.masking import masked_text
from console.api.pagination import Paging, after_id, cursor
from console.api.reach import item_of
from console.api.reading import bounded
from console.api.routes import new_router, route
from console.api.schemas.items import LetterPage
from console.api.schemas.rows import LetterFilters, LetterGroups
from console.api.schemas.verbs import ExplainedLetters, Letters, Treated
from console.callers import Caller, caller_of
from runtime.exceptions import InvalidInput, RoostError
from runtime.operations.acknowledge import Acknowledge
from runtime.operations.base import OnItem
from runtime.operations.once import Asked, done_before
from runtime.operations.redrive import Redrive
from runtime.queries import dead
from runtime.queries.dead import DeadFilter
from runtime.queries.windows import WINDOW

router = new_router("dead letters")

VIEW = "view_workitem"
AT_ONCE = 500
"""Dead letters that one request treats at most."""
FILTERS = ("namespace", "engine", "fingerprint", "category", "failed_because")


def _wanted(caller: Caller, filters: LetterFilters) -> DeadFilter:
    return DeadFilter(
        engine=filters.engine,
        reason=filters.reason,
        fingerprint=filters.fingerprint,
        category=filters.category,
        acknowledged=filters.acknowledged,
        within=caller.within(filters.namespace),
    )


@route(router, "GET", "/dead-letters", "listDeadLetters", gives={200: LetterPage}, permission=VIEW)
def list_letters(request: HttpRequest, filters: Query[LetterFilters], paging: Query[Paging]) -> dict[str, Any]:
    """List dead letters, newest first; those that nobody acknowledged, unless said otherwise."""
    caller = caller_of(request)
    page = dead.page(_wanted(caller, filters), before=after_id(paging.cursor), limit=paging.limit)
    told = [shapes.letter(one, caller) for one in dead.letters(page.rows)]
    return {"items": told, "next": cursor(page.rows[-1].pk if page.rows else None, more=page.more)}


@route(router, "GET", "/dead-letters/groups", "groupDeadLetters", gives={200: LetterGroups}, permission=VIEW)
def group_letters(
    request: HttpRequest, filters: Query[LetterFilters], limit: int = param.Query(50, ge=1, le=200)
) -> dict[str, Any]:
    """Group dead letters by what went wrong, the largest group first; the newest 10,000 are looked at."""
    caller = caller_of(request)
    page = dead.groups(_wanted(caller, filters), limit=limit, newest_of=WINDOW)
    reads = caller.reads_payload
    told = [
        {name: getattr(group, name) for name in group.__slots__}
        | {"message": masked_text(group.message) if reads else ""}
        for group in page.rows
    ]
    return {"groups": told, "more": page.more}


@route(
    router, "POST", "/dead-letters/redrive", "redriveDeadLetters", gives={200: Treated}, permission=Redrive.permission
)
def redrive_letters(request: HttpRequest, body: Letters) -> dict[str, Any]:
    """Bring dead letters back, up to 500 at once, each in a transaction of its own."""
    return _treat(request, body, Redrive)


@route(
    router,
    "POST",
    "/dead-letters/acknowledge",
    "acknowledgeDeadLetters",
    gives={200: Treated},
    permission=Acknowledge.permission,
)
def acknowledge_letters(request: HttpRequest, body: ExplainedLetters) -> dict[str, Any]:
    """Acknowledge dead letters, up to 500 at once, with a reason."""
    return _treat(request, body, Acknowledge)


def _treat(request: HttpRequest, body: Letters, operation: type[OnItem]) -> dict[str, Any]:
    """Do it to each, once; a request that was cut off goes on where it was when it is sent again with its key."""
    caller, asked = caller_of(request), asked_of(request)
    operation(uuid.UUID(int=0), by=caller.by, reason=body.reason)  # a bad reason is refused before anything is done
    if asked is not None and (before := done_before(asked))[0]:
        found: dict[str, Any] = before[1]
        return found
    with bounded():
        named, more = _named(caller, body)
    told: dict[str, Any] = {"moved": [], "refused": [], "more": more}
    for item in named:
        refusal = _each(request, item, lambda one: operation(one, by=caller.by, reason=body.reason), asked)
        told["moved" if refusal is None else "refused"].append(refusal or str(item))
    return once(asked, lambda: (told, told), lambda about: about)


def _each(
    request: HttpRequest, item: uuid.UUID, make: Callable[[uuid.UUID], OnItem], asked: Asked | None
) -> dict[str, str] | None:
    """Do it to one item, and return why not if it was refused."""
    try:
        with bounded():
            item_of(request, item)
        own = None if asked is None else replace(asked, key=f"{asked.key}\n{item}")
        once(own, lambda: (make(item).execute(), None), lambda _about: None)
    except RoostError as error:
        return {"id": str(item), "code": error.code, "detail": str(error)}
    return None


def _named(caller: Caller, body: Letters) -> tuple[list[uuid.UUID], bool]:
    """Return the items that are meant. Raises `InvalidInput` unless one way of choosing is used: nothing is not all."""
    said = {name: getattr(body, name) for name in FILTERS if getattr(body, name)}
    if bool(body.ids) == bool(said):
        raise InvalidInput(f"Say which dead letters: ids, or one of {', '.join(FILTERS)}.", field="ids")
    if body.ids:
        return list(dict.fromkeys(body.ids)), False
    said["reason"] = said.pop("failed_because", "")
    within = caller.within(said.pop("namespace", ""))
    page = dead.page(DeadFilter(acknowledged=False, within=within, **said), limit=AT_ONCE)
    return [item.pk for item in page.rows], page.more
