"""One row for every step that an atomic engine made."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    """What step `number` of an item wrote. No unique constraint: a doubled step shall be seen, not refused."""

    item = models.UUIDField(db_index=True)
    number = models.IntegerField()
    pid = models.IntegerField()

    def __str__(self) -> str:
        return f"{self.item} #{self.number}"
