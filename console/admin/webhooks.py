"""Webhooks in the admin. Their secrets are set by commands and operations alone, and never shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.base import moment_column
from console.admin.secretive import EDITED, DeclaredAdmin, SecretiveForm
from runtime.models import Webhook
from runtime.operations.webhooks import SetWebhook, remove_webhook
from runtime.queries import webhooks
from runtime.queries.webhooks import WebhookView
from runtime.store import work_database

SECRETS = ("secret", "previous_secret")


class WebhookForm(SecretiveForm):
    """What may be changed of a webhook beside its commands."""

    class Meta:
        model = Webhook
        fields = EDITED

    def operation(self, by: Any = None) -> SetWebhook:
        """Return the operation that does what the form says."""
        row = self.instance
        return SetWebhook(row.name, namespace=row.namespace, by=by, using=work_database(), **self.edits())


@admin.register(Webhook)
class WebhookAdmin(DeclaredAdmin):
    """Endpoints that enqueue work when somebody calls, with what they got; refusals are counted at least."""

    form = WebhookForm
    never_shown = SECRETS
    secret_fields = ("error",)
    setting = "ROOST_WEBHOOKS"
    list_display = (
        *("name", "enabled", "engine", "accepted_total", "refused_total", "last", "error"),
        *("verifier", "namespace", "repeated_total"),
    )
    list_filter = ("enabled", "verifier")
    search_help_text = _("A webhook's whole name.")
    find_by = ("name",)
    shown = (
        *("name", "namespace", "engine", "verifier", "verifier_options", "condition", "payload", "options"),
        *("delivery_from", "max_bytes", "good_until", "accepted_total", "repeated_total", "ignored_total"),
        *("refused_total", "last", "item", "refused", "error", "changed_by", "changed"),
    )
    fields = (*EDITED, *shown, "shown_version")
    readonly_fields = shown
    last = moment_column("last_at", _("last delivery"))
    refused = moment_column("refused_at", _("last refusal"))
    good_until = moment_column("previous_until", _("previous secret is good until"))

    def declared(self) -> list[WebhookView]:
        """Return the webhooks of the settings."""
        return webhooks.of_settings()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the webhook."""
        remove_webhook(obj.name, namespace=obj.namespace, by=request.user, using=work_database())
