"""Look at the installation as a whole, for who operates it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import HttpRequest, HttpResponse

from console.api.heavy import heavy
from console.api.masking import masked_text
from console.api.routes import new_router, route
from console.api.schemas.rows import Examined, Preflight
from console.callers import caller_of
from runtime.exceptions import EngineLoadError
from runtime.queries import held, installation, metrics
from runtime.queries.exposition import CONTENT_TYPE, render
from runtime.queries.finding import Finding
from runtime.queries.held import Fleet

router = new_router("installation")

OPERATES = "change_worker"
"""The permission of who has workers drain: what is found is about machines, databases and code."""
QUOTING = frozenset({"schedules", "vacuum", "storage", "database", "roost.E025", "roost.E026", "roost.E027"})
"""Checks whose words quote errors of products, or what their sessions run: for who reads payloads."""
WITHHELD = "It is not well; who may read payloads is told what it is."
WORST = ("problem", "warning", "ok")


@route(router, "GET", "/doctor", "runDoctor", gives={200: Examined}, permission=OPERATES, everywhere=True)
def run_doctor(request: HttpRequest) -> dict[str, Any]:
    """Look whether this installation is able to work, as `roost doctor` does, from this process"""
    reads = caller_of(request).reads_payload
    with heavy():
        found = installation.examine()
    levels = {one.level for one in found}
    return {
        "level": next(level for level in WORST if level in levels),
        "findings": [_told(one, reads) for one in found],
    }


def _told(found: Finding, reads: bool) -> dict[str, str]:
    if found.check in QUOTING and found.level != "ok" and not reads:
        return {"check": found.check, "level": found.level, "text": WITHHELD, "hint": ""}
    return {
        "check": found.check,
        "level": found.level,
        "text": masked_text(found.text),
        "hint": masked_text(found.hint),
    }


@route(router, "GET", "/metrics", "getMetrics", gives={200: None}, permission="view_workitem", everywhere=True)
def get_metrics(request: HttpRequest) -> HttpResponse:
    """Give the numbers of `/roost/metrics`, in Prometheus' text format, to a token"""
    return HttpResponse(render(metrics.collect()), content_type=CONTENT_TYPE)


@route(router, "GET", "/preflight", "runPreflight", gives={200: Preflight}, permission=OPERATES, everywhere=True)
def run_preflight(request: HttpRequest) -> dict[str, Any]:
    """Count the items in flight that the code of this process would hold, as `roost preflight` does"""
    reads = caller_of(request).reads_payload
    with heavy():
        fleets = held.in_flight()
    groups = [{**asdict(one), "text": _words(one, reads)} for one in fleets]
    return {"stranded": sum(one.items for one in fleets if one.stranded), "groups": groups}


def _words(fleet: Fleet, reads: bool) -> str:
    """Return what the code says to these items; what was raised where it was loaded is for who reads payloads."""
    return WITHHELD if fleet.objection == EngineLoadError.code and not reads else masked_text(fleet.text)
