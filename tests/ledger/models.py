"""One row for every step that an atomic engine made."""

from __future__ import annotations

from django.db import models

from runtime.models import Artifact, WorkItem


class Entry(models.Model):
    """What step `number` of an item wrote. No unique constraint: a doubled step shall be seen, not refused."""

    item = models.UUIDField(db_index=True)
    number = models.IntegerField()
    pid = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.item} #{self.number}"


class Receipt(models.Model):
    """A row of the product's that wants its item, or a file of it, to stay."""

    item = models.ForeignKey(WorkItem, models.PROTECT, null=True, db_constraint=False)
    file = models.ForeignKey(Artifact, models.RESTRICT, null=True, db_constraint=False)

    def __str__(self) -> str:
        return f"receipt {self.pk}"


class Order(models.Model):
    """A row of the product's that goes with its item, but for those that something else refers to."""

    item = models.ForeignKey(WorkItem, models.CASCADE, db_constraint=False)

    def __str__(self) -> str:
        return f"order {self.pk}"


class Invoice(models.Model):
    """A row that wants an order to stay."""

    order = models.ForeignKey(Order, models.PROTECT)

    def __str__(self) -> str:
        return f"invoice {self.pk}"
