"""Webhooks in the admin. Their secrets are set by commands and operations alone, and never shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.configuration import VersionedForm
from console.admin.secretive import SecretiveAdmin
from runtime.models import Webhook
from runtime.operations.webhooks import SetWebhook, remove_webhook
from runtime.store import work_database

EDITED = ("enabled", "note")
SECRETS = ("secret", "previous_secret")


class WebhookForm(VersionedForm):
    """What may be changed of a webhook beside its secret's commands."""

    class Meta:
        model = Webhook
        fields = EDITED


@admin.register(Webhook)
class WebhookAdmin(SecretiveAdmin):
    """Endpoints that enqueue work when somebody calls, with what they got; refusals are counted at least."""

    form = WebhookForm
    edited = EDITED
    never_shown = SECRETS
    secret_fields = ("error",)
    list_display = (
        *("name", "namespace", "enabled", "verifier", "engine", "accepted_total", "repeated_total"),
        *("refused_total", "last_at", "error"),
    )
    list_filter = ("enabled", "verifier")
    search_help_text = _("A webhook's whole name.")
    find_by = ("name",)
    shown = (
        *("name", "namespace", "engine", "verifier", "verifier_options", "condition", "payload", "options"),
        *("delivery_from", "max_bytes", "previous_until", "accepted_total", "repeated_total", "ignored_total"),
        *("refused_total", "last_at", "last_item", "refused_at", "error", "changed_by", "changed_at"),
    )
    fields = (*EDITED, *shown, "shown_version")
    readonly_fields = shown

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Set what was edited."""
        said = form.cleaned_data
        operation = SetWebhook(
            obj.name,
            namespace=obj.namespace,
            by=request.user,
            row_version=said.get("shown_version"),
            using=work_database(),
            enabled=said["enabled"],
            note=said["note"],
        )
        operation.execute()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the webhook."""
        remove_webhook(obj.name, namespace=obj.namespace, by=request.user, using=work_database())
