"""Say whether an item is the fork that is asked for again, by what is said of it: the original may have gone on."""

from __future__ import annotations

import uuid
from typing import Any

from runtime import jsondata
from runtime.choices import EventKind
from runtime.models import Event, Snapshot, WorkItem
from runtime.operations.idempotency import same_value


def is_that_fork(
    holder: WorkItem, original: WorkItem, *, version: int | None, state: str | None, payload: Any, engine_version: str
) -> bool:
    """Say whether the holder of a key was forked from the original as it is said now.

    A `version` of None is whatever was the latest then, a `state` (JSON text) of None the original's at that version.
    Raises `CorruptArtifact` or `StorageUnavailable` where the contents of large values have to be compared.
    """
    using = str(holder._state.db)
    return (
        _origin(holder, using) == original.pk
        and version in (None, holder.forked_version)
        and holder.engine_version == engine_version
        and same_value(holder.payload, payload, f"payload of work item {holder.pk}")
        and _has_state(holder, original, state, using)
    )


def _origin(holder: WorkItem, using: str) -> uuid.UUID | None:
    """Return what the holder was forked from, also while pruning takes that away and has let go of its forks."""
    if holder.forked_from_id is not None or holder.forked_version is None:
        return holder.forked_from_id
    told = Event.objects.using(using).filter(work_item=holder, kind=EventKind.FORKED).order_by("seq").first()
    origin = None if told is None or told.data is None else told.data.get("from")
    return None if origin is None else uuid.UUID(origin)


def _has_state(holder: WorkItem, original: WorkItem, state: str | None, using: str) -> bool:
    """Say whether the holder began with this state. What pruning took away is compared with nothing."""
    wanted = _states(original, holder.forked_version, using) if state is None else [jsondata.loads(state)]
    pairs = zip(_states(holder, 0, using), wanted, strict=False)
    return all(same_value(first, other, f"state of work item {holder.pk}") for first, other in pairs)


def _states(item: WorkItem, version: int | None, using: str) -> list[Any]:
    """Return the state at a version, as the only one in a list, or none."""
    return list(
        Snapshot.objects.using(using).filter(work_item=item, version=version or 0).values_list("data", flat=True)
    )
