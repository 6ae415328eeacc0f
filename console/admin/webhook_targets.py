"""Webhook targets in the admin. Their addresses and secrets are set by commands and operations alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.base import list_column, moment_column
from console.admin.secretive import EDITED, DeclaredAdmin, SecretiveForm
from runtime.models import WebhookTarget
from runtime.operations.targets import SetTarget, remove_target
from runtime.queries import targets
from runtime.queries.targets import TargetView
from runtime.store import work_database

SECRETS = ("secret", "url")
"""Never shown: a path or a query may be as good as a password."""


class WebhookTargetForm(SecretiveForm):
    """What may be changed of a target beside its commands."""

    class Meta:
        model = WebhookTarget
        fields = EDITED

    def operation(self, by: Any = None) -> SetTarget:
        """Return the operation that does what the form says."""
        return SetTarget(self.instance.name, by=by, using=work_database(), **self.edits())


@admin.register(WebhookTarget)
class WebhookTargetAdmin(DeclaredAdmin):
    """Who is told when work ends or waits, with what was delivered; counts may be one off after a crash."""

    form = WebhookTargetForm
    never_shown = SECRETS
    secret_fields = ("error",)
    setting = "ROOST_WEBHOOK_TARGETS"
    list_display = (
        *("name", "enabled", "told_of", "engine", "delivered_total", "failed_total", "last", "error"),
        *("namespace", "failed"),
    )
    list_filter = ("enabled",)
    search_help_text = _("A target's whole name.")
    find_by = ("name",)
    shown = (
        *("name", "told_of", "namespace", "engine", "condition", "parts", "redact", "options"),
        *("delivered_total", "failed_total", "last", "item", "failed", "error", "changed_by", "changed"),
    )
    fields = (*EDITED, *shown, "shown_version")
    readonly_fields = shown
    told_of = list_column("events", _("events"))
    parts = list_column("contents", _("contents"))
    last = moment_column("last_at", _("last delivery"))
    failed = moment_column("failed_at", _("last failed attempt"))

    def declared(self) -> list[TargetView]:
        """Return the targets of the settings."""
        return targets.of_settings()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the target."""
        remove_target(obj.name, by=request.user, using=work_database())
