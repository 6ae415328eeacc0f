"""Work that starts when other work ends."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from runtime.choices import TriggerEvent
from runtime.models.versioned import Versioned


class Trigger(Versioned):
    """When an item of `engine` ends in the state `on` and the condition holds, an item of `target` is enqueued.

    The new item is a child of the ended one, in its namespace, and is enqueued in the transaction that ends it. The
    condition and the paths of the payload map are those of `runtime.conditions`. An empty namespace means any.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(_("name"), max_length=100, unique=True)
    namespace = models.CharField(
        _("namespace"), max_length=100, default="", blank=True, help_text=_("Any namespace if empty.")
    )
    engine = models.CharField(_("when an item of the engine"), max_length=100)
    on = models.CharField(_("is"), max_length=10, choices=TriggerEvent.choices, default=TriggerEvent.DONE)
    condition = models.CharField(
        _("if"), max_length=500, default="", blank=True, help_text=_('Such as result.status == "down".')
    )
    target = models.CharField(_("enqueue for the engine"), max_length=100)
    payload = models.JSONField(
        _("payload map"), null=True, blank=True, help_text=_('Such as {"url": "$result.url"}; the result if empty.')
    )
    options = models.JSONField(
        _("options"), default=dict, blank=True, help_text=_("Of the items: priority, pool, resources and so on.")
    )
    enabled = models.BooleanField(_("enabled"), default=True)
    note = models.CharField(_("note"), max_length=500, default="", blank=True)

    class Meta:
        db_table = "roost_trigger"
        verbose_name = _("trigger")
        verbose_name_plural = _("triggers")
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=Q(on__in=TriggerEvent.values), name="roost_trigger_event")]

    def __str__(self) -> str:
        return self.name
