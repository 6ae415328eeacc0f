"""Limits in the admin: the one table of Roost that is edited here, by who may."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from console.admin.base import ReadOnlyAdmin
from runtime.exceptions import StaleVersion
from runtime.models import Limit
from runtime.queries import limits
from runtime.store import work_database

EDITED = (
    *("name", "namespace", "engine", "fair_key", "concurrency"),
    *("rate", "per_seconds", "burst", "enabled", "note"),
)


class LimitForm(forms.ModelForm):  # type: ignore[type-arg] # not generic when it runs
    """A limit that limits something; remembers which version was shown."""

    shown_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Limit
        fields = EDITED

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["shown_version"].initial = self.instance.row_version if self.instance.pk else None

    def clean(self) -> dict[str, Any]:
        """Refuse what the database would refuse."""
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("concurrency") is None and cleaned.get("rate") is None:
            raise forms.ValidationError(_("Give a number of items, a rate, or both."))
        for name in ("rate", "burst", "per_seconds"):
            value = cleaned.get(name)
            if value is not None and value <= 0:
                self.add_error(name, _("This must be more than 0."))
        shown = cleaned.get("shown_version")
        if self.instance.pk and shown is not None and shown != self.instance.row_version:
            raise forms.ValidationError(_("Somebody else changed this limit meanwhile. Look at it again."))
        return cleaned


@admin.register(Limit)
class LimitAdmin(ReadOnlyAdmin):
    """Caps and rates. They hold from the next claim on."""

    form = LimitForm
    list_display = ("name", "enabled", "namespace", "engine", "fair_key", "concurrency", "rate", "per_seconds", "note")
    list_filter = ("enabled",)
    search_help_text = _("A limit's whole name.")
    find_by = ("name",)
    fields = (*EDITED, "shown_version", "running_now", "steps_now")
    readonly_fields = ("running_now", "steps_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask for roost.add_limit."""
        return request.user.has_perm("roost.add_limit")

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for roost.change_limit."""
        return request.user.has_perm("roost.change_limit")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for roost.delete_limit."""
        return request.user.has_perm("roost.delete_limit")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Write what was edited, and nothing that a claim wrote meanwhile."""
        if not change:
            obj.save(using=work_database())
        elif edited := {name: form.cleaned_data[name] for name in form.changed_data if name in EDITED}:
            obj.compare_and_set(**edited)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the limit."""
        obj.delete(using=work_database())

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Answer an edit that came too late with a message."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except StaleVersion as error:
            return _answer(request, error)

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


def _answer(request: HttpRequest, error: Exception) -> HttpResponse:
    messages.error(request, str(error))
    return HttpResponseRedirect(request.get_full_path())
