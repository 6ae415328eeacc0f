"""Hand out the list of work items as it is narrowed now, as CSV or as JSON: what they are, never what is in them."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from console.admin.base import ReadOnlyAdmin
from runtime.queries.windows import WINDOW

MOST = WINDOW
"""Rows of one file."""
COLUMNS = (
    *("id", "namespace", "engine", "engine_version", "pool", "state", "reason", "step_label", "version", "attempt"),
    *("max_attempts", "deaths", "priority", "run_at", "deadline_at", "parent_id", "relation", "idempotency_key"),
    *("fingerprint", "acknowledged_at", "acknowledged_by", "steps_total", "duration_total", "tokens_total"),
    *("cost_total", "created_at", "started_at", "finished_at", "updated_at"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would run."""

Rows = Sequence[Sequence[Any]]


class ExportPages(ReadOnlyAdmin):
    """The two files, under the work items."""

    def get_urls(self) -> list[URLPattern]:
        """Add the addresses."""
        found = []
        for kind in WRITERS:
            view = self.admin_site.admin_view(self.export_view)
            found.append(path(f"export/{kind}/", view, {"kind": kind}, name=f"roost_workitem_{kind}"))
        return [*found, *super().get_urls()]

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Answer with the first `MOST` rows of the list that has the same query; a query that is none leads there."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        listing = reverse("admin:roost_workitem_changelist")
        try:
            listed = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return HttpResponseRedirect(f"{listing}?{ERROR_FLAG}=1")
        if request.__dict__.get("roost_refused"):
            return HttpResponseRedirect(f"{listing}?{request.GET.urlencode()}")
        rows = list(listed.defer(None).values_list(*COLUMNS)[: MOST + 1])
        more = len(rows) > MOST
        content_type, write = WRITERS[kind]
        name = f"work-items{f'-first-{MOST}' if more else ''}.{kind}"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
        return HttpResponse(write(rows[:MOST], more), content_type=content_type, headers=headers)


def _csv(rows: Rows, _more: bool) -> str:
    """Return the rows under the names of their columns; a text that a spreadsheet would run begins with a quote."""
    told = io.StringIO()
    writer = csv.writer(told)
    writer.writerow(COLUMNS)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return told.getvalue()


def _json(rows: Rows, more: bool) -> str:
    items = [dict(zip(COLUMNS, map(_plain, row), strict=True)) for row in rows]
    return json.dumps({"items": items, "more": more}, ensure_ascii=False)


def _cell(value: Any) -> Any:
    plain = _plain(value)
    return f"'{plain}" if isinstance(plain, str) and plain.startswith(FORMULA) else plain


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.isoformat() if isinstance(value, dt.datetime) else value


WRITERS: dict[str, tuple[str, Callable[[Rows, bool], str]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "json": ("application/json", _json),
}
"""Kind of file → its content type, and what writes it."""
