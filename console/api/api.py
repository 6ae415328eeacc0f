"""Put the API together: Roost's own, and its routes for a product's."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, re_path
from ninja import NinjaAPI, Router

from console.api.description import RoostAPI
from console.api.guard import guarded, unknown
from console.api.mounted import answer_for_roost
from console.api.parsing import StrictParser
from console.api.routers import (
    configuration,
    dead_letters,
    downloads,
    files,
    fleet,
    health,
    history,
    installation,
    many,
    runs,
    signals,
    streams,
    transfer,
    verbs,
    webhooks,
    work_items,
)

VERSION = "1"
SERVER = "/roost/api/v1"
SPACE = "api"
ROOT = "api-root"
"""What ninja calls the address of nothing."""

ROUTERS: tuple[Router, ...] = (
    *(
        work_items.router,
        history.router,
        runs.router,
        transfer.router,
        files.router,
        downloads.router,
        streams.router,
        verbs.router,
        many.router,
        signals.router,
    ),
    *(dead_letters.router, fleet.router, configuration.router, webhooks.router, installation.router, health.router),
)
"""Every route. A product may mount them in a NinjaAPI of its own; see `install`."""


def install(api: NinjaAPI, prefix: str = "") -> NinjaAPI:
    """Add Roost's routes to an API, with their guard and with Roost's answers to what is refused; returns it.

    The API's own routes keep its own answers, whenever it is told of them. It keeps its own parser: `StrictParser` is
    Roost's.
    """
    for router in ROUTERS:
        api.add_router(prefix, router)
    answer_for_roost(api)
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
    found = [route for route in routes if isinstance(route, URLPattern) and route.name != ROOT]
    known = path("openapi.json", guarded(describe, methods=("GET", "HEAD")), name="openapi")
    return [known, *found, re_path("", guarded(unknown), name="unknown")]
