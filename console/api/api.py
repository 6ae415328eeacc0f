"""Put the API together: Roost's own, and its routes for a product's."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, re_path
from ninja import NinjaAPI, Router

from console.api.description import RoostAPI
from console.api.errors import handle_all
from console.api.guard import guarded, unknown
from console.api.parsing import StrictParser
from console.api.routers import (
    configuration,
    dead_letters,
    downloads,
    files,
    fleet,
    health,
    history,
    streams,
    verbs,
    webhooks,
    work_items,
)

VERSION = "1"
SERVER = "/roost/api/v1"
SPACE = "api"
WITH_FILES = frozenset({"listArtifacts", "uploadArtifact"})
"""Routes of the address to which a POST is a form with a file."""

ROUTERS: tuple[Router, ...] = (
    *(work_items.router, history.router, files.router, downloads.router, streams.router, verbs.router),
    *(dead_letters.router, fleet.router, configuration.router, webhooks.router, health.router),
)
"""Every route. A product may mount them in a NinjaAPI of its own; see `install`."""


def install(api: NinjaAPI, prefix: str = "") -> NinjaAPI:
    """Add Roost's routes, and its answers to what is refused, to an API; returns it.

    A product's own API keeps its own parser and its own limits on bodies; `StrictParser` and `guarded` are Roost's.
    """
    for router in ROUTERS:
        api.add_router(prefix, router)
    handle_all(api)
    return api


def make() -> NinjaAPI:
    """Return Roost's own API."""
    api = RoostAPI(
        title="Roost",
        version=VERSION,
        description="Durable work: enqueue it, watch it, and decide what becomes of it.",
        urls_namespace=SPACE,
        openapi_url=None,
        docs_url=None,
        parser=StrictParser(),
        servers=[{"url": SERVER}],
    )
    return install(api)


api = make()


@cache
def _description() -> Any:
    """Return the description; making it takes a while, and nobody has to say who they are to ask for it."""
    return api.get_openapi_schema()


def describe(request: HttpRequest) -> HttpResponse:
    """Answer with the OpenAPI description of this API where it is mounted."""
    mounted = request.path.removesuffix("/openapi.json")
    return JsonResponse({**_description(), "servers": [{"url": mounted}]})


def patterns() -> list[URLPattern]:
    """Return the addresses, each behind the guard, and the one that answers for all that are none."""
    routes, _app, _space = api.urls
    methods = _methods(api)
    found = [
        path(
            str(route.pattern),
            guarded(route.callback, methods=methods[route.name], takes_files=route.name in WITH_FILES),
            name=route.name,
        )
        for route in routes
        if isinstance(route, URLPattern) and route.name in methods
    ]
    known = path("openapi.json", guarded(describe, methods=("GET", "HEAD")), name="openapi")
    return [known, *found, re_path("", guarded(unknown), name="unknown")]


def _methods(api: NinjaAPI) -> dict[str, list[str]]:
    """Return the methods that each route's address takes, by the route's name."""
    views = [view for _prefix, router in api._routers for view in router.path_operations.values()]
    taken = {id(view): sorted({method for one in view.operations for method in one.methods}) for view in views}
    return {str(one.url_name): taken[id(view)] for view in views for one in view.operations}
