"""Somebody to be told when work ends or waits."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from runtime.models.versioned import Versioned


class WebhookTarget(Versioned):
    """When something of `events` happens to an item and the condition holds, `url` is told in a signed request.

    A delivery is an item of its own, enqueued in the transaction that moves the other one. An empty namespace or engine
    means any. `contents` name what of the item is told beside its state. The secret signs; `runtime.signatures` says
    how it is kept, and nothing ever shows it. `row_version` counts an operator's edits; deliveries leave it alone.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(_("name"), max_length=80, unique=True)
    url = models.CharField(_("address"), max_length=2000)
    events = models.JSONField(_("events"), help_text=_('Such as ["done", "failed", "cancelled", "waiting"].'))
    namespace = models.CharField(
        _("namespace"), max_length=100, default="", blank=True, help_text=_("Any namespace if empty.")
    )
    engine = models.CharField(_("engine"), max_length=100, default="", blank=True, help_text=_("Any engine if empty."))
    condition = models.CharField(
        _("if"), max_length=500, default="", blank=True, help_text=_('Such as result.status == "down".')
    )
    contents = models.JSONField(
        _("contents"), default=list, blank=True, help_text=_('Of "result", "error", "payload" and "waits".')
    )
    redact = models.BooleanField(_("take out what looks like a secret"), default=True)
    options = models.JSONField(
        _("options"),
        default=dict,
        blank=True,
        help_text=_("Of the deliveries: priority, pool, max_attempts and so on."),
    )
    secret = models.CharField(_("secret"), max_length=500)
    enabled = models.BooleanField(_("enabled"), default=True)
    note = models.CharField(_("note"), max_length=500, default="", blank=True)

    delivered_total = models.BigIntegerField(_("delivered"), default=0, editable=False)
    failed_total = models.BigIntegerField(_("failed attempts"), default=0, editable=False)
    last_at = models.DateTimeField(_("last delivery"), null=True, editable=False)
    last_item = models.UUIDField(_("last delivered item"), null=True, editable=False)
    failed_at = models.DateTimeField(_("last failed attempt"), null=True, editable=False)
    error = models.CharField(_("why the last one failed"), max_length=500, default="", blank=True, editable=False)
    changed_by = models.CharField(_("last changed by"), max_length=200, default="", blank=True, editable=False)
    changed_at = models.DateTimeField(_("last changed at"), editable=False)

    class Meta:
        db_table = "roost_webhook_target"
        verbose_name = _("webhook target")
        verbose_name_plural = _("webhook targets")
        ordering = ["name"]
        # Nobody can sign with nothing.
        constraints = [models.CheckConstraint(condition=~Q(secret=""), name="roost_webhook_target_secret")]

    def __str__(self) -> str:
        return self.name
