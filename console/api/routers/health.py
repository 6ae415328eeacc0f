"""Say whether this process lives, and whether it can serve. Nobody has to say who they are."""

from __future__ import annotations

from django.db import DatabaseError
from django.http import HttpRequest
from ninja import Schema

from console.api.mounted import RoostRouter
from console.api.problems import Problem, Refusal
from console.api.reading import bounded
from runtime import clock
from runtime.store import work_database

router = RoostRouter(tags=["health"])


class Health(Schema):
    """All is well."""

    status: str


@router.get(
    "/health/live",
    operation_id="isLive",
    url_name="isLive",
    summary="Say that this process answers",
    auth=None,
    response={200: Health},
)
def is_live(request: HttpRequest) -> dict[str, str]:
    """Say that this process answers."""
    return {"status": "live"}


@router.get(
    "/health/ready",
    operation_id="isReady",
    url_name="isReady",
    summary="Say whether the work database answers",
    auth=None,
    response={200: Health, 503: Problem},
)
def is_ready(request: HttpRequest) -> dict[str, str]:
    """Say whether the work database answers."""
    try:
        with bounded():
            clock.now(work_database())
    except DatabaseError:
        raise Refusal(503, "unavailable", "The database does not answer.", headers={"Retry-After": "5"}) from None
    return {"status": "ready"}
