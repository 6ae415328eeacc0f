"""Triggers in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.base import json_column
from console.admin.operated import OperatedAdmin, OperatedForm
from runtime.models import Trigger
from runtime.operations.triggers import SetTrigger, remove_trigger
from runtime.store import work_database

EDITED = ("namespace", "engine", "on", "condition", "target", "payload", "options", "enabled", "note")


class TriggerForm(OperatedForm):
    """A trigger that its operation would accept."""

    class Meta:
        model = Trigger
        fields = ("name", *EDITED)

    def operation(self, by: Any = None) -> SetTrigger:
        """Return the operation that does what the form says. Raises `InvalidInput`."""
        said = self.cleaned_data
        values: dict[str, Any] = {field: said[field] for field in EDITED if field in said}
        values.setdefault("payload", self.instance.payload)  # which not everybody who may change it may see
        values["options"] = said["options"] or {}
        return SetTrigger(self.said("name"), by=by, row_version=self.shown, using=work_database(), **values)


@admin.register(Trigger)
class TriggerAdmin(OperatedAdmin):
    """Work that is enqueued when other work ends; they hold within a second."""

    form = TriggerForm
    named = ("name",)
    secret_fields = ("payload",)
    list_display = ("name", "enabled", "engine", "on", "condition", "target", "namespace", "note")
    list_filter = ("enabled", "on")
    search_help_text = _("A trigger's whole name.")
    find_by = ("name",)
    fields = ("name", *EDITED, "shown_version")

    shown_payload = json_column("payload", _("payload map"))

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the trigger."""
        remove_trigger(obj.name, by=request.user, using=work_database())
