"""Who may use the API without a session."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from runtime.models.versioned import Versioned


class ApiToken(Versioned):
    """A bearer token: what it may do, where, and how long. The token itself is nowhere, only its SHA-256.

    While a token is being exchanged, the one before is good until `previous_until`. `row_version` counts an operator's
    edits; use leaves it alone, and is noted at most once a minute.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(_("name"), max_length=80, unique=True)
    prefix = models.CharField(_("begins with"), max_length=8)
    token_hash = models.CharField(_("SHA-256"), max_length=64, unique=True)
    previous_hash = models.CharField(_("SHA-256 of the one before"), max_length=64, default="", blank=True)
    previous_until = models.DateTimeField(_("the one before is good until"), null=True, blank=True)
    scopes = models.JSONField(_("scopes"), default=list)
    namespaces = models.JSONField(_("namespaces"), default=list)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True, editable=False)
    revoked_by = models.CharField(_("revoked by"), max_length=200, default="", blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    note = models.CharField(_("note"), max_length=500, default="", blank=True)
    created_at = models.DateTimeField(_("made at"), editable=False)
    created_by = models.CharField(_("made by"), max_length=200, default="", blank=True, editable=False)

    class Meta:
        db_table = "roost_api_token"
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["previous_hash"], condition=~Q(previous_hash=""), name="roost_api_token_previous"
            ),
            # Nobody has the hash of nothing.
            models.CheckConstraint(condition=~Q(token_hash=""), name="roost_api_token_hash"),
        ]

    def __str__(self) -> str:
        return self.name
