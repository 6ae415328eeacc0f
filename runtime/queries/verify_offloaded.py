"""Check that large values of items are in the artifact storage, and kept from its sweep."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models import F

from runtime import artifacts, offload
from runtime.choices import OffloadPlace
from runtime.models import Offloaded, Snapshot, WorkItem
from runtime.queries.problem import Problem

Place = tuple[uuid.UUID, str, int]


def problems(found: Sequence[WorkItem], using: str) -> Iterator[Problem]:
    """Yield what is wrong with the moved values that these items go on from, or have come to.

    Earlier states are looked for by their rows alone. Raises `StorageUnavailable` when the storage cannot be asked.
    """
    ids = [one.pk for one in found]
    rows = Offloaded.objects.using(using).filter(work_item__in=ids).select_related("blob")
    kept: dict[Place, str] = {}
    paths: dict[str, str] = {}
    for one in rows:
        kept[one.work_item_id, one.place, one.version] = one.blob_id
        paths[one.blob_id] = one.blob.path
    for (item, place, version), value in _moved(ids, using):
        reference = offload.in_value(value)
        if reference is not None and not _is_kept(reference, kept.get((item, place, version)), paths):
            text = f"Its {place} is the content {reference.sha256}, which nothing keeps from being swept."
            yield Problem(item=item, code="unkept_value", text=text)
    there: dict[str, bool] = {}
    for (item, place, version), sha256 in sorted(kept.items()):
        if sha256 not in there:
            there[sha256] = _is_there(paths[sha256])
        if not there[sha256]:
            at = f" of version {version}" if place == OffloadPlace.STATE else ""
            text = f"The bytes of its {place}{at} ({sha256}) are not in the storage."
            yield Problem(item=item, code="lost_value", text=text)


def _moved(ids: list[uuid.UUID], using: str) -> Iterator[tuple[Place, Any]]:
    """Yield the payloads, results and latest states that are references; the database picks them out."""
    items = WorkItem.objects.using(using).filter(pk__in=ids)
    for place in (OffloadPlace.PAYLOAD.value, OffloadPlace.RESULT.value):
        rows = items.filter(**{f"{place}__has_key": offload.KEY})
        for item, value in rows.values_list("pk", place):
            yield (item, place, 0), value
    latest = Snapshot.objects.using(using).filter(work_item__in=ids, version=F("work_item__version"))
    states = latest.filter(data__has_key=offload.KEY)
    for item, version, value in states.values_list("work_item_id", "version", "data"):
        yield (item, OffloadPlace.STATE.value, version), value


def _is_kept(reference: offload.Reference, kept: str | None, paths: dict[str, str]) -> bool:
    return kept == reference.sha256 and paths[kept] == artifacts.path_of(reference.sha256, reference.copy)


def _is_there(path: str) -> bool:
    with artifacts.storage_errors(f"looking for {path}"):
        return artifacts.storage().exists(path)
