"""Limits in the admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.configuration import ConfigurationAdmin, VersionedForm
from runtime import faults
from runtime.models import Limit
from runtime.queries import limits
from runtime.store import work_database

EDITED = (
    *("name", "namespace", "engine", "fair_key", "pool", "concurrency"),
    *("rate", "per_seconds", "burst", "enabled", "note"),
)


class LimitForm(VersionedForm):
    """A limit that limits something."""

    class Meta:
        model = Limit
        fields = EDITED

    def clean(self) -> dict[str, Any]:
        """Refuse what the database would refuse."""
        cleaned = super().clean()
        if cleaned.get("concurrency") is None and cleaned.get("rate") is None:
            raise forms.ValidationError(_("Give a number of items, a rate, or both."))
        for name in ("rate", "burst", "per_seconds"):
            value = cleaned.get(name)
            if value is not None and value <= 0:
                self.add_error(name, _("This must be more than 0."))
        return cleaned


@admin.register(Limit)
class LimitAdmin(ConfigurationAdmin):
    """Caps and rates. They hold from the next claim on."""

    form = LimitForm
    edited = EDITED
    list_display = (
        *("name", "enabled", "namespace", "engine", "fair_key", "pool"),
        *("concurrency", "rate", "per_seconds", "note"),
    )
    list_filter = ("enabled",)
    search_help_text = _("A limit's whole name.")
    find_by = ("name",)
    fields = (*EDITED, "shown_version", "running_now", "steps_now")
    readonly_fields = ("running_now", "steps_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask for roost.add_limit."""
        return request.user.has_perm("roost.add_limit")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for roost.delete_limit."""
        return request.user.has_perm("roost.delete_limit")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the limit."""
        with faults.around("rule"):
            obj.delete(using=work_database())

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
