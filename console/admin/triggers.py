"""Triggers in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.configuration import ConfigurationAdmin, VersionedForm
from runtime.exceptions import RoostError
from runtime.models import Trigger
from runtime.operations.triggers import SetTrigger, remove_trigger
from runtime.store import work_database

EDITED = ("namespace", "engine", "on", "condition", "target", "payload", "options", "enabled", "note")


class TriggerForm(VersionedForm):
    """A trigger that its operation would accept."""

    class Meta:
        model = Trigger
        fields = ("name", *EDITED)

    def clean(self) -> dict[str, Any]:
        """Refuse what the operation refuses, at the field that it names."""
        cleaned = super().clean()
        if self.errors:
            return cleaned
        try:
            self.operation().check()
        except RoostError as error:
            field = getattr(error, "field", "")
            self.add_error(field if field in self.fields else None, str(error))
        return cleaned

    def operation(self, by: Any = None) -> SetTrigger:
        """Return the operation that does what the form says. Raises `InvalidInput`."""
        said = self.cleaned_data
        shown = said.get("shown_version") if self.instance.pk else None
        values: dict[str, Any] = {field: said[field] for field in EDITED}
        values["options"] = said["options"] or {}
        name = said.get("name") or self.instance.name
        return SetTrigger(name, by=by, row_version=shown, using=work_database(), **values)


@admin.register(Trigger)
class TriggerAdmin(ConfigurationAdmin):
    """Work that is enqueued when other work ends; they hold within a second."""

    form = TriggerForm
    edited = EDITED
    list_display = ("name", "enabled", "engine", "on", "condition", "target", "namespace", "note")
    list_filter = ("enabled", "on")
    search_help_text = _("A trigger's whole name.")
    find_by = ("name",)
    fields = ("name", *EDITED, "shown_version")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Keep the name of a trigger that exists."""
        shown = tuple(super().get_readonly_fields(request, obj))
        return ("name", *shown) if obj is not None else shown

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Ask for roost.add_trigger."""
        return request.user.has_perm("roost.add_trigger")

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for roost.delete_trigger."""
        return request.user.has_perm("roost.delete_trigger")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Set the trigger."""
        obj.pk = form.operation(by=request.user).execute().pk

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the trigger."""
        remove_trigger(obj.name, by=request.user, using=work_database())
