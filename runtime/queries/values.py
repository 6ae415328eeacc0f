"""Read the values of an item whole, also those that were moved to the artifact storage."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from runtime import offload
from runtime.choices import OffloadPlace
from runtime.exceptions import InvalidInput, NotFound
from runtime.models import Snapshot, WorkItem
from runtime.offload import Reference
from runtime.store import work_database
from runtime.store.history import kept_versions


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A value of an item: what it is, and the content that it was moved to, if it was. `version` is a state's."""

    place: str
    version: int | None
    value: Any
    moved: Reference | None


def read(item: uuid.UUID, place: str, *, version: int | None = None, using: str | None = None) -> Value:
    """Return the item's payload or result, or its state after `version` (None: the latest), whole.

    Raises `NotFound`, `InvalidInput`, `CorruptArtifact`, `StorageUnavailable`.
    """
    using = using or work_database()
    if place not in OffloadPlace.values:
        raise InvalidInput(f"{place!r} is no value of an item. Use {', '.join(OffloadPlace.values)}.", field="place")
    if version is not None and place != OffloadPlace.STATE:
        raise InvalidInput(f"Only a state has versions; the {place} has one.", field="version")
    if place == OffloadPlace.STATE:
        return _state(item, version, using)
    found = WorkItem.objects.using(using).filter(pk=item).values_list(place, flat=True)
    if not found:
        raise NotFound(f"There is no work item {item}.")
    value = offload.whole(found[0], f"{place} of work item {item}")
    return Value(place=place, version=None, value=value, moved=offload.in_value(found[0]))


def result_of(item: WorkItem) -> Any:
    """Return the result of an item as it was read, whole. Raises `CorruptArtifact`, `StorageUnavailable`."""
    return offload.whole(item.result, f"result of work item {item.pk}")


def _state(item: uuid.UUID, version: int | None, using: str) -> Value:
    kept = Snapshot.objects.using(using).filter(work_item=item).order_by("-version")
    found = (kept if version is None else kept.filter(version=version)).first()
    if found is None:
        wanted = "no snapshot" if version is None else f"no snapshot of version {version}"
        raise NotFound(f"Work item {item} has {wanted}. It has: {kept_versions(using, item)}.")
    moved = offload.in_value(found.data)
    return Value(place=OffloadPlace.STATE, version=found.version, value=state_of(found), moved=moved)


def state_of(snapshot: Snapshot) -> Any:
    """Return the state that a snapshot is of, whole. Raises `CorruptArtifact`, `StorageUnavailable`."""
    return offload.whole(snapshot.data, f"state of work item {snapshot.work_item_id} at version {snapshot.version}")
