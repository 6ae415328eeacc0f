"""Find what rows of the product's keep from being removed, before anything of it is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import cache

from django.db.models import CASCADE, PROTECT, RESTRICT, ManyToOneRel, Model

from runtime.models import Artifact, Event, JournalEntry, Offloaded, Signal, Snapshot, Wait, WorkItem

OWN: tuple[type[Model], ...] = (WorkItem, Event, Snapshot, JournalEntry, Artifact, Offloaded, Wait, Signal)
"""What goes with an item, and may be referred to."""

ITEM = {WorkItem: "pk", Signal: "target"}
"""How a row names its item; all others call it `work_item`."""

DEEPEST = 5


def is_protected(using: str, item: uuid.UUID) -> bool:
    """Say whether a row outside of Roost refers to the item, or to what goes with it, and must not lose that.

    Follows `on_delete` as Django does: PROTECT and RESTRICT, also behind rows that would go with the item. What a
    constraint of the database alone forbids is found when it is tried.
    """
    return any(rows._base_manager.using(using).filter(**{path: item}).exists() for rows, path in _referring())


@cache
def _referring() -> tuple[tuple[type[Model], str], ...]:
    """Return the models whose rows protect, each with the path from them to the item."""
    return tuple(found for model in OWN for found in _behind(model, ITEM.get(model, "work_item"), DEEPEST))


def _behind(model: type[Model], path: str, deep: int) -> Iterator[tuple[type[Model], str]]:
    for relation in model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ManyToOneRel) or relation.related_model._meta.app_label == "roost":
            continue
        rows, further = relation.related_model, f"{relation.field.name}__{path}"
        if relation.on_delete in (PROTECT, RESTRICT):
            yield rows, further
        elif relation.on_delete is CASCADE and deep:
            yield from _behind(rows, further, deep - 1)
