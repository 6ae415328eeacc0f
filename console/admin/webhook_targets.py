"""Webhook targets in the admin. Their addresses and secrets are set by commands and operations alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.configuration import VersionedForm
from console.admin.secretive import SecretiveAdmin
from runtime.exceptions import RoostError
from runtime.models import WebhookTarget
from runtime.operations.targets import SetTarget, remove_target
from runtime.store import work_database

EDITED = ("enabled", "note")
SECRETS = ("secret", "url")
"""Never shown: a path or a query may be as good as a password."""


class WebhookTargetForm(VersionedForm):
    """What may be changed of a target beside its commands."""

    class Meta:
        model = WebhookTarget
        fields = EDITED

    def clean(self) -> dict[str, Any]:
        """Refuse what the operation refuses."""
        cleaned = super().clean()
        if self.errors:
            return cleaned
        try:
            self.operation().check()
        except RoostError as error:
            self.add_error(None, str(error))
        return cleaned

    def operation(self, by: Any = None) -> SetTarget:
        """Return the operation that does what the form says."""
        said = self.cleaned_data
        shown, changes = said.get("shown_version"), {field: said[field] for field in EDITED}
        return SetTarget(self.instance.name, by=by, row_version=shown, using=work_database(), **changes)


@admin.register(WebhookTarget)
class WebhookTargetAdmin(SecretiveAdmin):
    """Who is told when work ends or waits, with what was delivered; counts may be one off after a crash."""

    form = WebhookTargetForm
    edited = EDITED
    never_shown = SECRETS
    secret_fields = ("error",)
    list_display = (
        *("name", "enabled", "events", "engine", "namespace", "delivered_total", "failed_total"),
        *("last_at", "failed_at", "error"),
    )
    list_filter = ("enabled",)
    search_help_text = _("A target's whole name.")
    find_by = ("name",)
    shown = (
        *("name", "events", "namespace", "engine", "condition", "contents", "redact", "options"),
        *("delivered_total", "failed_total", "last_at", "last_item", "failed_at", "error", "changed_by", "changed_at"),
    )
    fields = (*EDITED, *shown, "shown_version")
    readonly_fields = shown

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Set what was edited."""
        form.operation(by=request.user).execute()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the target."""
        remove_target(obj.name, by=request.user, using=work_database())
