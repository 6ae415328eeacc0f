"""Find work items: one by its id, many by filter, and how many there are."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Count, QuerySet

from runtime.choices import TERMINAL, Reason, State
from runtime.exceptions import InvalidInput, NotFound
from runtime.models import WorkItem
from runtime.queries import by_id
from runtime.queries.page import Page, checked_limit, page_of
from runtime.sentences import say as _
from runtime.store import work_database
from runtime.store.columns import Columns

HEAVY = ("payload", "config", "result")
"""Columns that lists leave in the database."""
OUTCOME = Columns(
    WorkItem,
    *("id", "namespace", "state", "reason", "version", "row_version", "finished_at", "last_error", "result"),
)
_ENDED = f"state IN ({', '.join(['%s'] * len(TERMINAL))})"


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
                raise InvalidInput(
                    _("There is no state %(state)r. States: %(names)s.", state=state, names=", ".join(State.values)),
                    field="state",
                )
        if self.reason and self.reason not in Reason.values:
            raise InvalidInput(
                _(
                    "There is no reason %(reason)r. Reasons: %(names)s.",
                    reason=self.reason,
                    names=", ".join(Reason.values),
                ),
                field="reason",
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
    rows = WorkItem.objects.using(using or work_database())
    item: WorkItem = by_id.get(rows, name, what="work item", listing="roost list")
    return item


def outcome(item: uuid.UUID, *, using: str | None = None) -> WorkItem:
    """Return the item with what came of it alone, other columns deferred. Raises `NotFound`. One cheap query."""
    found = OUTCOME.of_id(using or work_database(), item)
    if found is None:
        raise NotFound(_("There is no work item %(item)s. `roost list` shows those there are.", item=item))
    return found


def ended(wanted: Collection[uuid.UUID], *, using: str | None = None) -> dict[uuid.UUID, WorkItem | None]:
    """Return what `outcome` does for those of the items that have ended, None for one that is not there. One query."""
    return OUTCOME.among(using or work_database(), wanted, _ENDED, sorted(TERMINAL))
