"""Hold the one compare-and-set update: a row is written only if nobody wrote it since it was read."""

from __future__ import annotations

from typing import Any, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from runtime.exceptions import StaleVersion


class VersionedQuerySet(models.QuerySet[Any]):
    """Rows that carry `row_version`."""

    def compare_and_set(self, pk: Any, row_version: int, **changes: Any) -> int:
        """Write `changes` to row `pk` if it still has `row_version`; return the new row_version.

        One UPDATE statement, so of two writers with the same version exactly one wins.
        Raises `StaleVersion` for the other, and when the row is gone; nothing is written then.
        """
        updated = self.filter(pk=pk, row_version=row_version).update(row_version=models.F("row_version") + 1, **changes)
        if not updated:
            name = self.model._meta.verbose_name
            raise StaleVersion(f"The {name} {pk} changed since version {row_version} was read. Read it again.")
        return row_version + 1


class Versioned(models.Model):
    """Base of models whose rows count their writes in `row_version`."""

    row_version = models.BigIntegerField(_("row version"), default=1, editable=False)

    objects = VersionedQuerySet.as_manager()

    class Meta:
        abstract = True

    def compare_and_set(self, **changes: Any) -> Self:
        """Write `changes` if the row is as this instance read it, and bring the instance up to date.

        Raises `StaleVersion`; the instance is left as it was then.
        """
        manager = type(self)._default_manager.using(self._state.db)
        assert isinstance(manager, VersionedQuerySet)  # noqa: S101 - narrows the type
        self.row_version = manager.compare_and_set(self.pk, self.row_version, **changes)
        for name, value in changes.items():
            setattr(self, name, value)
        return self
