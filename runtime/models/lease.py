"""Who owns a running item."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.models.versioned import Versioned
from runtime.models.workitem import WorkItem


class Lease(Versioned):
    """The right of one worker to run one item, until `expires_at` unless renewed.

    `epoch` equals the item's epoch while the lease is good; every write of a step is checked against it.
    `revoked_at` says that an operator took the item away: the worker has still to let go of its claims.
    """

    work_item = models.OneToOneField(
        WorkItem, models.CASCADE, primary_key=True, related_name="lease", verbose_name=_("work item")
    )
    worker = models.ForeignKey(
        "roost.Worker", models.DO_NOTHING, db_constraint=False, related_name="leases", verbose_name=_("worker")
    )
    epoch = models.BigIntegerField(_("epoch"))
    acquired_at = models.DateTimeField(_("acquired at"))
    expires_at = models.DateTimeField(_("expires at"))
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    alone = models.BooleanField(_("its process runs nothing else"), default=False)
    progress = models.JSONField(_("progress"), null=True, blank=True)

    class Meta:
        db_table = "roost_lease"
        verbose_name = _("lease")
        verbose_name_plural = _("leases")
        indexes = [models.Index(fields=["expires_at"], name="roost_lease_expiry")]

    def __str__(self) -> str:
        return f"{self.work_item_id} epoch {self.epoch}"
