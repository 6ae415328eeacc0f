"""Webhook targets in the admin. Their addresses and secrets are set by commands and operations alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.secretive import EDITED, SecretiveAdmin, SecretiveForm
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
class WebhookTargetAdmin(SecretiveAdmin):
    """Who is told when work ends or waits, with what was delivered; counts may be one off after a crash."""

    form = WebhookTargetForm
    never_shown = SECRETS
    setting = "ROOST_WEBHOOK_TARGETS"
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

    def declared(self) -> list[TargetView]:
        """Return the targets of the settings."""
        return targets.of_settings()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the target."""
        remove_target(obj.name, by=request.user, using=work_database())
