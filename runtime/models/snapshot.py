"""The state of an item after a step."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.models.workitem import WorkItem


class Snapshot(models.Model):
    """What an engine's next step starts from. Version 0 is `init_snapshot`'s; step k writes version k.

    Rows are only ever added; the unique (work_item, version) proves the compare-and-set of the item's update.
    """

    id = models.BigAutoField(primary_key=True)
    work_item = models.ForeignKey(
        WorkItem, models.CASCADE, related_name="snapshots", db_index=False, verbose_name=_("work item")
    )
    version = models.BigIntegerField(_("version"))
    epoch = models.BigIntegerField(_("epoch"))
    data = models.JSONField(_("state"), null=True)
    state_schema = models.IntegerField(_("shape of the state"), db_default=1)
    label = models.CharField(_("step"), max_length=200, default="", blank=True)
    restored_from = models.BigIntegerField(_("restored from version"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))

    class Meta:
        db_table = "roost_snapshot"
        verbose_name = _("snapshot")
        verbose_name_plural = _("snapshots")
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["work_item", "version"], name="roost_snapshot_version")]
        indexes = [
            models.Index(
                fields=["work_item", "restored_from"],
                condition=models.Q(restored_from__isnull=False),
                name="roost_snapshot_restored",
            )
        ]

    def __str__(self) -> str:
        return f"{self.work_item_id} v{self.version}"
