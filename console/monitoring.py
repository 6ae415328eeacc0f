"""Tell machines how Roost is: GET roost/health/live, roost/health/ready and roost/metrics.

Health is told to anybody, in words that give nothing away. Numbers are told to users who may view work items and reach
all namespaces, and to whoever has the token `ROOST_METRICS_TOKEN`.
"""

from __future__ import annotations

import logging
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import add_never_cache_headers
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.views import View

from console.connections import alone
from runtime import reach
from runtime.conf import settings as roost
from runtime.queries import metrics
from runtime.queries.exposition import CONTENT_TYPE, render
from runtime.queries.readiness import readiness

logger = logging.getLogger("roost.monitoring")
PERMISSION = "roost.view_workitem"


@method_decorator([login_not_required, alone], name="dispatch")
class _Page(View):
    http_method_names = ["get", "head"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Answer, and let nobody keep the answer."""
        response = super().dispatch(request, *args, **kwargs)
        add_never_cache_headers(response)
        return response


class LiveView(_Page):
    """Say that the process answers. Asks nothing of the database: a restart would not mend that."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer 200."""
        return JsonResponse({"status": "ok"})


class ReadyView(_Page):
    """Say whether the process can serve; `?worker=1` (or `ROOST_READY_NEEDS_WORKER`) asks for a live worker too."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer 200, or 503 with the name of what fails."""
        found = readiness(worker=roost.READY_NEEDS_WORKER or request.GET.get("worker") == "1")
        problems = [one for one in found if one.level == "problem"]
        for one in problems:
            logger.warning("not ready: %s", one.text)
        checks = {one.check: "failed" if one in problems else "ok" for one in found}
        status = "failed" if problems else "ok"
        return JsonResponse({"status": status, "checks": checks}, status=503 if problems else 200)


class MetricsView(_Page):
    """Give the numbers in Prometheus' text format."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer 200; 401 without a token or a login, 403 without the permission, 503 without a database."""
        refused = _refused(request)
        if refused is not None:
            return refused
        try:
            text = render(metrics.collect())
        except DatabaseError:
            logger.warning("the metrics could not be read", exc_info=True)
            return _problem(503, "Not available now", "The database does not answer.")
        return HttpResponse(text, content_type=CONTENT_TYPE)


def _refused(request: HttpRequest) -> HttpResponse | None:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    token: str | None = roost.METRICS_TOKEN
    if token and scheme.lower() == "bearer" and constant_time_compare(given.strip(), token):
        return None
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        response = _problem(401, "Not authenticated", "Give the bearer token, or log in.")
        response["WWW-Authenticate"] = "Bearer"
        return response
    if not user.has_perm(PERMISSION):
        return _problem(403, "Not allowed", f"The permission {PERMISSION} is needed.")
    if reach.of(user) is not None:
        return _problem(403, "Not allowed", "The numbers are about all namespaces, and for who reaches them.")
    return None


def _problem(status: int, title: str, detail: str) -> HttpResponse:
    told = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JsonResponse(told, status=status, content_type="application/problem+json")
