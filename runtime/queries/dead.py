"""Find dead letters: failed items, one by one or grouped by what went wrong."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Min, OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KeyTextTransform

from runtime.choices import ErrorCategory, Reason, State
from runtime.exceptions import InvalidInput
from runtime.models import Event, WorkItem
from runtime.queries.attempts import worker_names
from runtime.queries.items import HEAVY
from runtime.queries.page import Page, checked_limit, page_of
from runtime.queries.windows import newest
from runtime.sentences import say as _
from runtime.store import work_database


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadFilter:
    """Which dead letters; what is empty does not narrow. `acknowledged` None means both.

    `within` are the namespaces that whoever asks may see, None for all.
    """

    namespace: str = ""
    engine: str = ""
    reason: str = ""
    fingerprint: str = ""
    category: str = ""
    acknowledged: bool | None = None
    within: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.reason and self.reason not in Reason.values:
            raise InvalidInput(
                _(
                    "There is no reason %(reason)r. Reasons: %(names)s.",
                    reason=self.reason,
                    names=", ".join(Reason.values),
                ),
                field="reason",
            )
        if self.category and self.category not in ErrorCategory.values:
            raise InvalidInput(
                _(
                    "There is no category %(category)r. Categories: %(names)s.",
                    category=self.category,
                    names=", ".join(ErrorCategory.values),
                ),
                field="category",
            )

    @property
    def is_empty(self) -> bool:
        """Whether every dead letter matches."""
        return self == DeadFilter()


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadGroup:
    """Dead letters that failed in the same way; `message` is one of theirs."""

    namespace: str
    engine: str
    reason: str
    fingerprint: str
    message: str
    count: int
    first: dt.datetime | None
    last: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A dead letter and what it failed of. `worker` made its last attempt, None if it was never tried."""

    item: WorkItem
    error_type: str
    code: str
    category: str
    message: str
    worker: uuid.UUID | None
    worker_name: str


def matching(wanted: DeadFilter, *, using: str | None = None) -> QuerySet[WorkItem]:
    """Return the dead letters that match, newest first."""
    found: QuerySet[WorkItem] = WorkItem.objects.using(using or work_database()).filter(state=State.FAILED)
    for column in ("namespace", "engine", "reason", "fingerprint"):
        if value := getattr(wanted, column):
            found = found.filter(**{column: value})
    if wanted.category:
        found = found.filter(last_error__category=wanted.category)
    if wanted.within is not None:
        found = found.filter(namespace__in=wanted.within)
    if wanted.acknowledged is not None:
        found = found.filter(acknowledged_at__isnull=not wanted.acknowledged)
    return found.order_by("-id")


def page(
    wanted: DeadFilter, *, before: uuid.UUID | None = None, limit: int = 50, using: str | None = None
) -> Page[WorkItem]:
    """Return a page of dead letters, newest first; the next page starts `before` the id of the last row."""
    found = matching(wanted, using=using).defer(*HEAVY)
    if before is not None:
        found = found.filter(pk__lt=before)
    return page_of(found[: checked_limit(limit) + 1], limit)


def letters(rows: Sequence[WorkItem], *, using: str | None = None) -> list[DeadLetter]:
    """Return what these dead letters, the rows of a page, failed of, and on which worker."""
    using = using or work_database()
    signed = Event.objects.using(using).filter(work_item=OuterRef("pk"), worker__isnull=False).order_by("-seq")
    found = WorkItem.objects.using(using).filter(pk__in=[item.pk for item in rows])
    workers = dict(found.annotate(last=Subquery(signed.values("worker")[:1])).values_list("pk", "last"))
    names = worker_names(workers.values(), using)
    return [_letter(item, workers.get(item.pk), names) for item in rows]


def _letter(item: WorkItem, worker: uuid.UUID | None, names: Mapping[uuid.UUID | None, str]) -> DeadLetter:
    error = item.last_error if isinstance(item.last_error, dict) else {}
    told = {name: str(error.get(name) or "") for name in ("code", "category", "message")}
    kind = str(error.get("type") or "")
    return DeadLetter(item=item, error_type=kind, worker=worker, worker_name=names.get(worker, ""), **told)


def groups(
    wanted: DeadFilter, *, limit: int = 50, newest_of: int | None = None, using: str | None = None
) -> Page[DeadGroup]:
    """Return the dead letters grouped by fingerprint, engine and reason, the largest group first.

    With `newest_of` only so many of the newest dead letters within reach are looked at, whatever they failed of.
    """
    found = matching(wanted, using=using)
    if newest_of is not None:
        found &= newest(matching(DeadFilter(within=wanted.within), using=using), newest_of).rows
    rows = (
        found.order_by()
        .annotate(said=KeyTextTransform("message", "last_error"))
        .values("namespace", "engine", "reason", "fingerprint")
        .annotate(message=Max("said"), count=Count("pk"), first=Min("finished_at"), last=Max("finished_at"))
        .order_by("-count", "fingerprint", "engine", "reason", "namespace")
    )
    return page_of((_group(dict(row)) for row in rows[: checked_limit(limit) + 1]), limit)


def _group(row: dict[str, Any]) -> DeadGroup:
    return DeadGroup(**{**row, "message": row["message"] or ""})
