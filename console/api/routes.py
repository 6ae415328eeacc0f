"""Declare routes: each says once what it is called, what it gives, and which permission it takes.

`ACCESS` holds that for every route, so that a test can try each with and without.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, get_type_hints

from django.http import HttpRequest
from ninja import Router

from console.api.auth import AUTH
from console.api.callers import caller_of
from console.api.problems import Problem, Refusal
from console.api.reading import bounded

V = TypeVar("V", bound=Callable[..., Any])

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
    "description": "The same request with the same key is done once.",
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


def new_router(tag: str) -> Router:
    """Return a router whose routes ask who calls."""
    return Router(auth=AUTH, tags=[tag])


def route(
    router: Router,
    method: str,
    path: str,
    name: str,
    *,
    gives: Mapping[int, Any],
    permission: str,
    everywhere: bool = False,
    refuses: tuple[int, ...] = (),
    headers: tuple[Mapping[str, Any], ...] = (),
    holds: bool = True,
) -> Callable[[V], V]:
    """Make a view a route of the router.

    `gives` maps statuses to what they carry, `refuses` lists problems beyond those of every route. A POST takes an
    Idempotency-Key, and the view sees to it that it is done once. A GET reads within `bounded`, unless it takes its
    time by itself (`holds` False).
    """
    ACCESS[name] = Access(permission=permission, everywhere=everywhere)
    headers = (*headers, IDEMPOTENCY_KEY) if method == "POST" else headers
    statuses = {*EVERY_ROUTE, *(EVERY_WRITE if method != "GET" else ()), *refuses}
    statuses |= {*(EVERY_POST if method == "POST" else ()), *(EVERY_VARIABLE if "{" in path else ())}
    responses = {**gives, **dict.fromkeys(sorted(statuses), Problem)}

    def declare(view: V) -> V:
        run = _run(view, permission, everywhere=everywhere, within_limits=holds and method == "GET")
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


def _run(view: Callable[..., Any], permission: str, *, everywhere: bool, within_limits: bool) -> Callable[..., Any]:
    @wraps(view)
    def run(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        _refuse_unknown_parameters(request, run)
        caller = caller_of(request)
        caller.require(permission)
        if everywhere:
            caller.require_everywhere()
        if not within_limits:
            return view(request, *args, **kwargs)
        with bounded():
            return view(request, *args, **kwargs)

    # Ninja reads annotations where the function was defined, and that is here: give it the types themselves.
    hints = get_type_hints(view, include_extras=True)
    parameters = [one.replace(annotation=hints[name]) for name, one in inspect.signature(view).parameters.items()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _refuse_unknown_parameters(request: HttpRequest, run: Any) -> None:
    """Raise `Refusal` for a query parameter that is unknown here: a filter with a typo would find everything."""
    models = [model for model in run._ninja_operation.models if model.__ninja_param_source__ == "query"]
    known = [name for model in models for name in model.__ninja_flatten_map__]
    unknown = [name for name in request.GET if name not in known]
    if unknown:
        said = f"There is no parameter {unknown[0]!r}. There are: {', '.join(known) or 'none'}."
        errors = [{"field": f"query.{name}", "message": "unknown"} for name in unknown]
        raise Refusal(422, "invalid", said, errors=errors)
