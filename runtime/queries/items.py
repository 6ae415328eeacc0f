"""Find work items: one by its id, many by filter, and how many there are."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from runtime.choices import LIVE, Reason, State
from runtime.exceptions import InvalidInput, NotFound
from runtime.models import WorkItem
from runtime.queries.page import Page, checked_limit, page_of
from runtime.store import work_database

_PREFIX = re.compile(r"[0-9a-f]{4,32}")
HEAVY = ("payload", "config", "result")
"""Columns that lists leave in the database."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemFilter:
    """Which items; what is empty does not narrow. `parent` names the item whose children are meant.

    `key` is a whole idempotency key, `within` the namespaces that whoever asks may see, None for all.
    """

    states: tuple[str, ...] = ()
    reason: str = ""
    engine: str = ""
    namespace: str = ""
    fingerprint: str = ""
    parent: uuid.UUID | None = None
    key: str = ""
    within: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for state in self.states:
            if state not in State.values:
                raise InvalidInput(f"There is no state {state!r}. States: {', '.join(State.values)}.", field="state")
        if self.reason and self.reason not in Reason.values:
            raise InvalidInput(
                f"There is no reason {self.reason!r}. Reasons: {', '.join(Reason.values)}.", field="reason"
            )

    @property
    def is_empty(self) -> bool:
        """Whether every item matches."""
        return self == ItemFilter()


def matching(wanted: ItemFilter, *, using: str | None = None) -> QuerySet[WorkItem]:
    """Return the items that match, newest first."""
    found: QuerySet[WorkItem] = WorkItem.objects.using(using or work_database()).order_by("-id")
    if wanted.states:
        found = found.filter(state__in=wanted.states)
    for column in ("reason", "engine", "namespace", "fingerprint"):
        if value := getattr(wanted, column):
            found = found.filter(**{column: value})
    if wanted.key:
        found = found.filter(idempotency_key=wanted.key)
    if wanted.within is not None:
        found = found.filter(namespace__in=wanted.within)
    return found if wanted.parent is None else found.filter(parent_id=wanted.parent)


def page(
    wanted: ItemFilter, *, before: uuid.UUID | None = None, limit: int = 50, using: str | None = None
) -> Page[WorkItem]:
    """Return a page of items, newest first, without payload, configuration and result.

    The next page starts `before` the id of the last row: new items never shift it.
    """
    found = matching(wanted, using=using).defer(*HEAVY)
    if before is not None:
        found = found.filter(pk__lt=before)
    return page_of(found[: checked_limit(limit) + 1], limit)


def counts(*, namespace: str = "", using: str | None = None) -> dict[str, int]:
    """Return how many items are in each state, every state named."""
    found = matching(ItemFilter(namespace=namespace), using=using).order_by()
    rows = dict(found.values_list("state").annotate(Count("pk")))
    return {state: rows.get(state, 0) for state in State.values}


def get(name: str | uuid.UUID, *, using: str | None = None) -> WorkItem:
    """Return the item of that id, or of that unique beginning of an id (4 hex digits or more).

    Raises `InvalidInput` for what is no id or fits several items, `NotFound` when there is none.
    """
    low, high = id_range(name)
    found = list(WorkItem.objects.using(using or work_database()).filter(pk__gte=low, pk__lte=high).order_by("id")[:2])
    if not found:
        raise NotFound(f"There is no work item {name}. `roost list` shows those there are.")
    if len(found) > 1:
        raise InvalidInput(
            f"Several work items begin with {name}, {found[0].pk} and {found[1].pk} among them. Give more digits.",
            field="item",
        )
    item: WorkItem = found[0]
    return item


def live(wanted: Collection[uuid.UUID], *, using: str | None = None) -> set[uuid.UUID]:
    """Return those of the items that are there and have not ended. One query."""
    rows = WorkItem.objects.using(using or work_database()).filter(pk__in=wanted, state__in=LIVE)
    return set(rows.order_by().values_list("pk", flat=True))


def id_range(name: str | uuid.UUID) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the lowest and the highest id that begin so. Raises `InvalidInput` for what is no id."""
    if isinstance(name, uuid.UUID):
        return name, name
    digits = name.strip().lower().replace("-", "")
    if not _PREFIX.fullmatch(digits):
        raise InvalidInput(f"{name!r} is no work item id (a UUID, or its first 4 digits or more).", field="item")
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
