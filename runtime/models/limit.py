"""How much may run at once, and how often."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from runtime.models.versioned import Versioned


class Limit(Versioned):
    """A cap on running items, a rate of steps, or both, for the items that it covers; the row that claimers lock.

    An empty namespace, engine, fairness key or worker pool covers any. Running items are counted from their leases at
    each claim; only the rate's bucket is kept here: `tokens` as of `refilled_at`, on the database's clock, full while
    that is None. `row_version` counts an operator's edits; claims that take tokens leave it alone.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(_("name"), max_length=100, unique=True)
    namespace = models.CharField(
        _("namespace"), max_length=100, default="", blank=True, help_text=_("Any namespace if empty.")
    )
    engine = models.CharField(_("engine"), max_length=100, default="", blank=True, help_text=_("Any engine if empty."))
    fair_key = models.CharField(
        _("fairness key"), max_length=200, default="", blank=True, help_text=_("Any fairness key, or none, if empty.")
    )
    pool = models.CharField(
        _("worker pool"), max_length=100, default="", db_default="", blank=True, help_text=_("Any pool if empty.")
    )
    concurrency = models.PositiveIntegerField(
        _("running at once"), null=True, blank=True, help_text=_("Items at most; 0 lets none start.")
    )
    rate = models.PositiveIntegerField(_("steps per period"), null=True, blank=True)
    per_seconds = models.FloatField(_("period (s)"), default=1.0)
    burst = models.PositiveIntegerField(
        _("steps in a burst"), null=True, blank=True, help_text=_("Steps at once after a pause; the rate if empty.")
    )
    tokens = models.FloatField(_("steps allowed now"), default=0.0, editable=False)
    refilled_at = models.DateTimeField(_("as of"), null=True, editable=False)
    enabled = models.BooleanField(_("enabled"), default=True)
    note = models.CharField(_("note"), max_length=500, default="", blank=True)

    class Meta:
        db_table = "roost_limit"
        verbose_name = _("limit")
        verbose_name_plural = _("limits")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(concurrency__isnull=False) | Q(rate__isnull=False), name="roost_limit_something"
            ),
            models.CheckConstraint(
                condition=(Q(rate__isnull=True) | Q(rate__gte=1))
                & (Q(burst__isnull=True) | Q(burst__gte=1))
                & Q(per_seconds__gt=0),
                name="roost_limit_rate",
            ),
        ]

    def __str__(self) -> str:
        return self.name
