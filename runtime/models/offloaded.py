"""Large values of items that are kept in the artifact storage."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.choices import OffloadPlace
from runtime.models.artifact import Blob
from runtime.models.workitem import WorkItem


class Offloaded(models.Model):
    """A value of an item that is content now: its column holds a reference, this row keeps the content from the sweep.

    Written in the transaction that writes the reference. `version` is the snapshot's for a state, 0 for a payload and
    a result. A row may outlive its reference (a result that a follow-up cleared) until another takes its place.
    """

    id = models.BigAutoField(primary_key=True)
    work_item = models.ForeignKey(
        WorkItem, models.CASCADE, related_name="offloaded", db_index=False, verbose_name=_("work item")
    )
    place = models.CharField(_("place"), max_length=10, choices=OffloadPlace.choices)
    version = models.BigIntegerField(_("version"))
    blob = models.ForeignKey(
        Blob, models.PROTECT, db_column="sha256", related_name="offloaded", verbose_name=_("sha256")
    )

    class Meta:
        db_table = "roost_offloaded"
        verbose_name = _("value in the artifact storage")
        verbose_name_plural = _("values in the artifact storage")
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["work_item", "place", "version"], name="roost_offloaded_place"),
        ]

    def __str__(self) -> str:
        return f"{self.place} {self.version} of {self.work_item_id}"
