"""Read the signals that were sent, and which of them somebody has taken."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from django.db.models import QuerySet

from runtime.models import Signal
from runtime.queries.page import Page, checked_limit, page_of
from runtime.store import work_database
from runtime.store.mailboxes import FREE


def page(
    *,
    name: str = "",
    item: uuid.UUID | None = None,
    taken: bool = False,
    within: Sequence[str] | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
    using: str | None = None,
) -> Page[Signal]:
    """Return signals that nobody has taken yet, newest first; with `taken` the others too.

    `item` narrows to those that were sent to it alone; `within` are the namespaces that whoever asks may see, None for
    all. Raises `InvalidInput` for the limit.
    """
    found: QuerySet[Signal] = Signal.objects.using(using or work_database()).order_by("-pk")
    if not taken:
        found = found.filter(**FREE)
    if name:
        found = found.filter(name=name)
    if item is not None:
        found = found.filter(target=item)
    if within is not None:
        found = found.filter(namespace__in=within)
    if before is not None:
        found = found.filter(pk__lt=before)
    return page_of(found[: checked_limit(limit) + 1], limit)
