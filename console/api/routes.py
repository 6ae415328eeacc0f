"""Declare routes: each says once what it is called, what it gives, and which permission it takes.

`ACCESS` holds that for every route, so that a test can try each with and without.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from django.http import HttpRequest

from console.api.auth import AUTH
from console.api.conditions import key_of
from console.api.mounted import RoostRouter
from console.api.problems import Problem, Refusal
from console.api.reading import bounded, bounded_outside
from console.callers import caller_of

V = TypeVar("V", bound=Callable[..., Any])

logger = logging.getLogger("roost.api")

TOLD_BY_EVENTS = ("/work-items", "/signals", "/dead-letters")
"""Addresses of routes whose changes stand in the histories of items, with who asked for them."""

EVERY_ROUTE = (401, 403, 422, 429, 500, 503)
EVERY_WRITE = (400, 413, 415)
EVERY_POST = (409,)
EVERY_VARIABLE = (404,)

IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "required": False,
    "schema": {"type": "string", "pattern": '^(\\*|(W/)?"[0-9]{1,18}")$'},
    "description": "The ETag of the item as you saw it: the change is refused (412) if it was written since.",
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]([ -~]{0,198}[!-~])?$"},
    "description": "The same request with the same key is done once. The key is the caller's: to others it is another.",
}
KEY_OF_AN_ITEM = {
    **IDEMPOTENCY_KEY,
    "description": "The item's `idempotency_key`, which is one in its namespace, whoever sends it: with the same "
    "engine and payload it is the item that is there, whatever else is said; with others it is refused (409).",
}
KEY_OF_A_FORK = {
    **IDEMPOTENCY_KEY,
    "description": "The fork's `idempotency_key`, which is one in its namespace, whoever sends it: what is said of the "
    "fork has to be what the holder of the key has, else it is refused (409).",
}
KEY_OF_A_SIGNAL = {
    **IDEMPOTENCY_KEY,
    "description": "The signal's `delivery_id`, which is one in its namespace, whoever sends it: another name, item or "
    "payload is refused (409).",
}

LAST_EVENT_ID = {
    "in": "header",
    "name": "Last-Event-ID",
    "required": False,
    "schema": {"type": "string"},
    "description": "The id of the last event that came; without it, the stream begins now.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What a route takes: a permission, and with `everywhere` a caller who reaches all namespaces."""

    permission: str
    everywhere: bool = False


ACCESS: dict[str, Access] = {}
"""Name of a route (its operationId) → what it takes."""


def new_router(tag: str) -> RoostRouter:
    """Return a router whose routes ask who calls."""
    return RoostRouter(auth=AUTH, tags=[tag])


def route(
    router: RoostRouter,
    method: str,
    path: str,
    name: str,
    *,
    gives: Mapping[int, Any],
    permission: str,
    everywhere: bool = False,
    refuses: tuple[int, ...] = (),
    headers: tuple[Mapping[str, Any], ...] = (),
    key: Mapping[str, Any] = IDEMPOTENCY_KEY,
    holds: bool = True,
) -> Callable[[V], V]:
    """Make a view a route of the router.

    `gives` maps statuses to what they carry, `refuses` lists problems beyond those of every route. A POST takes an
    Idempotency-Key, described as `key`, and the view sees to it that it is done once. A GET reads within `bounded`,
    unless it takes its time by itself (`holds` False); whatever else reads outside of a transaction does so within
    `bounded_outside`.
    """
    ACCESS[name] = Access(permission=permission, everywhere=everywhere)
    headers = (*headers, key) if method == "POST" else headers
    statuses = {*EVERY_ROUTE, *(EVERY_WRITE if method != "GET" else ()), *refuses}
    statuses |= {*(EVERY_POST if method == "POST" else ()), *(EVERY_VARIABLE if "{" in path else ())}
    responses = {**gives, **dict.fromkeys(sorted(statuses), Problem)}

    def declare(view: V) -> V:
        done = view if method == "GET" or path.startswith(TOLD_BY_EVENTS) else _recorded(view, name)
        run = _run(done, method, permission, everywhere=everywhere, within_limits=holds and method == "GET")
        router.api_operation(
            [method],
            path,
            response=responses,
            operation_id=name,
            url_name=name,
            summary=(view.__doc__ or name).strip().splitlines()[0],
            openapi_extra={"parameters": [dict(header) for header in headers]} if headers else None,
        )(run)
        return view

    return declare


def _run(
    view: Callable[..., Any], method: str, permission: str, *, everywhere: bool, within_limits: bool
) -> Callable[..., Any]:
    @wraps(view)
    def run(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        _refuse_unknown_parameters(request, run)
        caller = caller_of(request)
        caller.require(permission)
        if everywhere:
            caller.require_everywhere()
        if method == "POST":
            # Also where nothing comes of it: a look before the deed, or a body that names a key of its own.
            key_of(request)
        with bounded() if within_limits else bounded_outside():
            return view(request, *args, **kwargs)

    # Ninja reads annotations where the function was defined, and that is here: give it the types themselves.
    hints = get_type_hints(view, include_extras=True)
    parameters = [one.replace(annotation=hints[name]) for name, one in inspect.signature(view).parameters.items()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _recorded(view: Callable[..., Any], name: str) -> Callable[..., Any]:
    """Have the log say who changed what, once it is done; never to what, since that may be a secret."""

    @wraps(view)
    def record(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        answer = view(request, *args, **kwargs)
        actor, match = caller_of(request).by.get_username(), request.resolver_match
        # As Python writes them: a name may have a line break, and begin a line of its own.
        about = [repr(str(value)) for value in match.kwargs.values()] if match is not None else []
        logger.info("%s %s by %s", name, " ".join(about), actor, extra={"operation": name, "actor": actor})
        return answer

    return record


def _refuse_unknown_parameters(request: HttpRequest, run: Any) -> None:
    """Raise `Refusal` for a query parameter that is unknown here: a filter with a typo would find everything."""
    models = [model for model in run._ninja_operation.models if model.__ninja_param_source__ == "query"]
    known = [name for model in models for name in model.__ninja_flatten_map__]
    unknown = [name for name in request.GET if name not in known]
    if unknown:
        said = f"There is no parameter {unknown[0]!r}. There are: {', '.join(known) or 'none'}."
        errors = [{"field": f"query.{name}", "message": "unknown"} for name in unknown]
        raise Refusal(422, "invalid", said, errors=errors)
