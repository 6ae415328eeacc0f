"""Webhook targets in the admin. Their addresses and secrets are set by commands and operations alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from console.admin.configuration import ConfigurationAdmin, VersionedForm
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
class WebhookTargetAdmin(ConfigurationAdmin):
    """Who is told when work ends or waits, with what was delivered; counts may be one off after a crash."""

    form = WebhookTargetForm
    edited = EDITED
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

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leave addresses and secrets in the database."""
        return super().get_queryset(request).defer(*SECRETS)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse to filter by a secret: the number of hits would tell it, letter by letter."""
        if lookup.split(LOOKUP_SEP, maxsplit=1)[0] in SECRETS:
            return False
        return super().lookup_allowed(lookup, value, request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Ask for roost.delete_webhooktarget."""
        return request.user.has_perm("roost.delete_webhooktarget")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Set what was edited."""
        form.operation(by=request.user).execute()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Remove the target."""
        remove_target(obj.name, by=request.user, using=work_database())
