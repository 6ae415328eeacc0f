"""What has been removed from the histories of items that stay."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.models.event import TransactionIdField
from runtime.models.workitem import WorkItem


class PrunedHistory(models.Model):
    """How far the history of one item has been removed: always from the beginning on. Most items have no such row.

    Events up to `events_through` are gone, the last of which was of version `steps_through`: of the step that made
    the version after that, some may be gone. Snapshots up to `snapshots_through` are gone, but for those that a fork
    or a restored snapshot refers to. `going_since` says that the item is being removed whole, in several transactions:
    any row of it may be missing, and nobody brings it back.
    """

    work_item = models.OneToOneField(
        WorkItem, models.CASCADE, primary_key=True, related_name="pruned", verbose_name=_("work item")
    )
    events_through = models.BigIntegerField(_("events removed up to"), default=0)
    steps_through = models.BigIntegerField(_("version of the last event removed"), default=-1)
    snapshots_through = models.BigIntegerField(_("snapshots removed up to"), default=0)
    pruned_at = models.DateTimeField(_("last removed from"))
    going_since = models.DateTimeField(_("being removed since"), null=True, blank=True)

    class Meta:
        db_table = "roost_prunedhistory"
        verbose_name = _("pruned history")
        verbose_name_plural = _("pruned histories")
        indexes = [
            models.Index(
                fields=["going_since"], condition=models.Q(going_since__isnull=False), name="roost_pruned_going"
            )
        ]

    def __str__(self) -> str:
        return f"{self.work_item_id} up to #{self.events_through}"


class EventHorizon(models.Model):
    """The one row that says how recent an event was ever removed: a reader that has not come so far has a gap."""

    ONLY = 1

    id = models.SmallIntegerField(primary_key=True, default=ONLY)
    event = models.BigIntegerField(_("highest row"))
    tx = TransactionIdField(_("highest transaction"), editable=False)

    class Meta:
        db_table = "roost_eventhorizon"
        verbose_name = _("horizon of events")
        verbose_name_plural = _("horizons of events")
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.event)
