"""Work that starts when somebody calls."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from runtime.choices import Verifier
from runtime.models.versioned import Versioned


class Webhook(Versioned):
    """A request to `hooks/<namespace>/<name>` that its sender signed enqueues an item of `engine`.

    The same delivery enqueues one item, by the idempotency key `webhook:<name>:<delivery>`. The secrets are what the
    sender shares with us, see `runtime.signatures` for how they are kept; nothing ever shows them. `row_version` counts
    an operator's edits; deliveries leave it alone, and refused ones are counted at most once a second, so that nobody
    who knows no secret can make the database busy.
    """

    id = models.BigAutoField(primary_key=True)
    namespace = models.CharField(_("namespace"), max_length=100, default="default")
    name = models.CharField(_("name"), max_length=80)
    engine = models.CharField(_("engine"), max_length=100)
    verifier = models.CharField(_("verifier"), max_length=20, choices=Verifier.choices)
    verifier_options = models.JSONField(_("verifier's options"), default=dict, blank=True)
    secret = models.CharField(_("secret"), max_length=500)
    previous_secret = models.CharField(_("previous secret"), max_length=500, default="", blank=True)
    previous_until = models.DateTimeField(_("previous secret is good until"), null=True, blank=True)
    condition = models.CharField(
        _("if"), max_length=500, default="", blank=True, help_text=_('Such as headers["x-github-event"] == "push".')
    )
    payload = models.JSONField(
        _("payload map"), null=True, blank=True, help_text=_('Such as {"url": "$body.url"}; the body if empty.')
    )
    options = models.JSONField(
        _("options"), default=dict, blank=True, help_text=_("Of the items: priority, pool, resources and so on.")
    )
    delivery_from = models.CharField(_("a delivery is known by"), max_length=200)
    max_bytes = models.IntegerField(_("largest body (bytes)"), default=1024 * 1024)
    enabled = models.BooleanField(_("enabled"), default=True)
    note = models.CharField(_("note"), max_length=500, default="", blank=True)

    accepted_total = models.BigIntegerField(_("accepted"), default=0, editable=False)
    repeated_total = models.BigIntegerField(_("repeated"), default=0, editable=False)
    ignored_total = models.BigIntegerField(_("ignored by the condition"), default=0, editable=False)
    refused_total = models.BigIntegerField(_("refused, at least"), default=0, editable=False)
    last_at = models.DateTimeField(_("last delivery"), null=True, editable=False)
    last_item = models.UUIDField(_("last work item"), null=True, editable=False)
    refused_at = models.DateTimeField(_("last refusal"), null=True, editable=False)
    error = models.CharField(_("why the last one was refused"), max_length=500, default="", blank=True, editable=False)
    changed_by = models.CharField(_("last changed by"), max_length=200, default="", blank=True, editable=False)
    changed_at = models.DateTimeField(_("last changed at"), editable=False)

    class Meta:
        db_table = "roost_webhook"
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["namespace", "name"]
        constraints = [
            models.UniqueConstraint(fields=["namespace", "name"], name="roost_webhook_name"),
            models.CheckConstraint(condition=Q(verifier__in=Verifier.values), name="roost_webhook_verifier"),
            # Nobody can sign with nothing.
            models.CheckConstraint(condition=~Q(secret=""), name="roost_webhook_secret"),
        ]

    def __str__(self) -> str:
        return self.name
