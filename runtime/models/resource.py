"""Named locks and who holds or wants them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.choices import ClaimMode, ClaimScope
from runtime.models.versioned import Versioned
from runtime.models.workitem import WorkItem


class Resource(Versioned):
    """A named thing that items may not use without a claim; the row that claimers lock.

    `capacity` bounds the units of counted claims held at once. An exclusive claim tolerates no other.
    """

    id = models.BigAutoField(primary_key=True)
    namespace = models.CharField(_("namespace"), max_length=100, default="default")
    key = models.CharField(_("key"), max_length=200)
    capacity = models.PositiveIntegerField(_("capacity"), default=1)

    class Meta:
        db_table = "roost_resource"
        verbose_name = _("resource")
        verbose_name_plural = _("resources")
        ordering = ["namespace", "key"]
        constraints = [models.UniqueConstraint(fields=["namespace", "key"], name="roost_resource_key")]

    def __str__(self) -> str:
        return self.key


class ResourceClaim(Versioned):
    """An item's claim on a resource: wanted while the item is parked for it, held once granted.

    All claims of an item are granted together or not at all. `epoch` is the owner's when it was granted.
    """

    id = models.BigAutoField(primary_key=True)
    resource = models.ForeignKey(Resource, models.CASCADE, related_name="claims", verbose_name=_("resource"))
    work_item = models.ForeignKey(WorkItem, models.CASCADE, related_name="claims", verbose_name=_("work item"))
    mode = models.CharField(_("mode"), max_length=10, choices=ClaimMode.choices, default=ClaimMode.EXCLUSIVE)
    units = models.PositiveIntegerField(_("units"), default=1)
    scope = models.CharField(_("scope"), max_length=10, choices=ClaimScope.choices, default=ClaimScope.STEP)
    held = models.BooleanField(_("held"), default=False)
    epoch = models.BigIntegerField(_("epoch"), default=0)
    created_at = models.DateTimeField(_("wanted since"))
    acquired_at = models.DateTimeField(_("held since"), null=True, blank=True)

    class Meta:
        db_table = "roost_resourceclaim"
        verbose_name = _("resource claim")
        verbose_name_plural = _("resource claims")
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["resource", "work_item"], name="roost_claim_once")]
        indexes = [
            models.Index(fields=["resource"], condition=models.Q(held=True), name="roost_claim_held"),
            models.Index(fields=["resource"], condition=models.Q(held=False), name="roost_claim_wanted"),
        ]

    def __str__(self) -> str:
        return f"{self.work_item_id} → {self.resource_id}"
