"""Find an item's files."""

from __future__ import annotations

import re
import uuid

from django.db.models import QuerySet

from runtime.exceptions import InvalidInput, NotFound
from runtime.models import Artifact
from runtime.queries.page import Page, checked_limit, page_of
from runtime.store import work_database

_BEGINNING = re.compile(r"[0-9a-f]{8,64}")


def page(
    item: uuid.UUID, *, after: uuid.UUID | None = None, limit: int = 100, using: str | None = None
) -> Page[Artifact]:
    """Return a page of the item's artifacts, oldest first; the next page starts `after` the last row's id."""
    found = _of(item, using).order_by("id")
    if after is not None:
        found = found.filter(pk__gt=after)
    return page_of(found[: checked_limit(limit) + 1], limit)


def get(item: uuid.UUID, name: str, *, using: str | None = None) -> Artifact:
    """Return the item's artifact of that name (the latest), or of that id or beginning of a sha256 (8 digits or more).

    Raises `NotFound`, and `InvalidInput` when the beginning of a sha256 fits different contents.
    """
    named = _of(item, using).filter(name=name).order_by("-version", "-id").first()
    if named is not None:
        return named
    found = _by_id_or_content(item, name, using)
    if not found:
        raise NotFound(f"Item {item} has no artifact {name!r}. `roost artifacts list {item}` shows those it has.")
    if len({artifact.sha256 for artifact in found}) > 1:
        raise InvalidInput(f"Several artifacts of item {item} begin with {name}. Give more digits.", field="artifact")
    return found[0]


def in_namespace(artifact: uuid.UUID, namespace: str, *, using: str | None = None) -> Artifact | None:
    """Return the artifact with its content's row, None if no item of the namespace has it."""
    rows = Artifact.objects.using(using or work_database()).select_related("blob")
    return rows.filter(pk=artifact, work_item__namespace=namespace).first()


def _by_id_or_content(item: uuid.UUID, name: str, using: str | None) -> list[Artifact]:
    try:
        return list(_of(item, using).filter(pk=uuid.UUID(name)))
    except ValueError:
        digits = name.lower()
        if not _BEGINNING.fullmatch(digits):
            return []
        return list(_of(item, using).filter(blob__sha256__startswith=digits).order_by("-version", "-id")[:50])


def _of(item: uuid.UUID, using: str | None) -> QuerySet[Artifact]:
    return Artifact.objects.using(using or work_database()).filter(work_item_id=item)
