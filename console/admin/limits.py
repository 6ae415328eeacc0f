"""Limits in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.operated import OperatedAdmin, OperatedForm
from runtime.models import Limit
from runtime.operations.limits import SetLimit, remove_limit
from runtime.queries import limits
from runtime.store import work_database

EDITED = (
    *("namespace", "engine", "fair_key", "pool", "concurrency"),
    *("rate", "per_seconds", "burst", "enabled", "note"),
)


class LimitForm(OperatedForm):
    """A limit that its operation would accept."""

    class Meta:
        model = Limit
        fields = ("name", *EDITED)

    def operation(self, by: Any = None) -> SetLimit:
        """Return the operation that does what the form says. Raises `InvalidInput`."""
        values: dict[str, Any] = {field: self.cleaned_data[field] for field in EDITED}
        return SetLimit(self.said("name"), by=by, row_version=self.shown, using=work_database(), **values)


@admin.register(Limit)
class LimitAdmin(OperatedAdmin):
    """Caps and rates. They hold from the next claim on."""

    form = LimitForm
    named = ("name",)
    list_display = (
        *("name", "enabled", "namespace", "engine", "fair_key", "pool"),
        *("concurrency", "rate", "per_seconds", "note"),
    )
    list_filter = ("enabled",)
    search_help_text = _("A limit's whole name.")
    find_by = ("name",)
    fields = ("name", *EDITED, "shown_version", "running_now", "steps_now")
    readonly_fields = ("running_now", "steps_now")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the limit."""
        remove_limit(obj.name, by=request.user, using=work_database())

    @admin.display(description=_("running now"))
    def running_now(self, row: Limit) -> int | None:
        """Count what runs under it."""
        return next((view.running for view in _views([row])), None)

    @admin.display(description=_("steps allowed now"))
    def steps_now(self, row: Limit) -> int | None:
        """Show what its rate allows."""
        return next((int(view.tokens) for view in _views([row]) if view.tokens is not None), None)


def _views(rows: Iterable[Limit] | QuerySet[Limit]) -> list[limits.LimitView]:
    wanted = {row.pk for row in rows}
    return [view for view in limits.views(using=work_database()) if view.limit.pk in wanted]
