"""Set and remove limits. They are configuration, not work: an operator edits them while workers run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any, TypedDict, Unpack

from django.db import transaction

from runtime import faults, wake
from runtime.exceptions import InvalidInput, NotFound, StaleVersion
from runtime.models import Limit
from runtime.operations import fields
from runtime.operations.base import check_permission
from runtime.sentences import say as _
from runtime.store import work_database
from runtime.store.transactions import transacted

MAX_NOTE = 500
_SCOPE = {"namespace": 100, "engine": 100, "fair_key": 200, "pool": 100}


class LimitOptions(TypedDict, total=False):
    """What a limit has; what is left out stays as it is, or is the default of a new limit."""

    namespace: str
    engine: str
    fair_key: str
    pool: str
    concurrency: int | None
    rate: int | None
    per_seconds: float
    burst: int | None
    enabled: bool
    note: str


class SetLimit:
    """Make a limit of that name, or change the one there is.

    Takes effect at the next claim: what runs is left alone. `by` is a Django user whose permission is checked, or
    None for trusted code. With `row_version` it is changed only if nobody edited it since that version was read.
    """

    def __init__(
        self,
        name: str,
        *,
        by: Any = None,
        row_version: int | None = None,
        using: str | None = None,
        **options: Unpack[LimitOptions],
    ) -> None:
        self.name = fields.text(name, "name", limit=100)
        self.by = by
        self.row_version = row_version
        self.using = using or work_database()
        self.options = _checked(options)

    def check(self) -> None:
        """Raise `Forbidden`, `StaleVersion` or `InvalidInput` unless it would be done now. Changes nothing."""
        self._prepare(Limit.objects.using(self.using).filter(name=self.name).first())

    def execute(self) -> Limit:
        """Do it and return the limit. One transaction; joins the caller's."""

        def once() -> Limit:
            found = Limit.objects.using(self.using).select_for_update(no_key=True).filter(name=self.name).first()
            limit = self._prepare(found)
            if found is None:
                limit.save(using=self.using)
                return limit
            if self.options:
                found.compare_and_set(**self.options)
            changed: Limit = found
            return changed

        with faults.around("rule"):
            limit = transacted(self.using, once)
        transaction.on_commit(partial(wake.hint, self.using), using=self.using, robust=True)
        return limit

    def _prepare(self, found: Limit | None) -> Limit:
        check_permission(self.by, "change_limit" if found else "add_limit", "set limits", everywhere=True)
        if found is not None and self.row_version not in (None, found.row_version):
            raise StaleVersion(_("The limit %(name)r changed since it was read. Look at it again.", name=self.name))
        allowed = [self.options.get(name, getattr(found, name, None)) for name in ("concurrency", "rate")]
        if allowed == [None, None]:
            raise InvalidInput(
                _("The limit %(name)r would limit nothing: give it a concurrency, a rate, or both.", name=self.name)
            )
        return Limit(name=self.name, **self.options)


def set_limit(name: str, *, by: Any = None, using: str | None = None, **options: Unpack[LimitOptions]) -> Limit:
    """Make or change a limit and return it. Raises `InvalidInput`, `Forbidden`."""
    return SetLimit(name, by=by, using=using, **options).execute()


def remove_limit(name: str, *, by: Any = None, using: str | None = None) -> None:
    """Remove a limit for good. Raises `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "delete_limit", "remove limits", everywhere=True)
    with faults.around("rule"):
        removed = transacted(using, lambda: Limit.objects.using(using).filter(name=name).delete()[0])
    if not removed:
        raise NotFound(_("There is no limit %(name)r: `roost limits list` shows those there are.", name=name))
    transaction.on_commit(partial(wake.hint, using), using=using, robust=True)


def _checked(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in the form in which they are stored. Raises `InvalidInput`; pure."""
    checked = dict(given)
    for name, most in _SCOPE.items():
        if given.get(name):
            checked[name] = fields.text(given[name], name, limit=most)
    for name, least in (("concurrency", 0), ("rate", 1), ("burst", 1)):
        if given.get(name) is not None:
            checked[name] = fields.whole(given[name], name, (least, fields.INT[1]))
    if "per_seconds" in given:
        checked["per_seconds"] = fields.seconds(given["per_seconds"], "per_seconds", positive=True)
        if not math.isfinite(checked["per_seconds"]):
            raise InvalidInput(_("per_seconds must be finite."), field="per_seconds")
    if given.get("note"):
        checked["note"] = fields.text(given["note"], "note", limit=MAX_NOTE)
    return checked
