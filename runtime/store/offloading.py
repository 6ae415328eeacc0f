"""Move large values out of items and outcomes before they are written, and keep the rows that say who needs them.

Bytes come before the commit, rows with it: content that no commit ever referred to is swept. A value that was not
moved is as good as one that was, so nothing is moved where it would mean waiting for a storage under a lock: what
triggers and schedules enqueue, a fork's edited state, the first state of a step that failed.
Shared by both stores; `runtime.offload` says what a reference looks like.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from runtime import offload
from runtime.choices import OffloadPlace
from runtime.conf import settings as roost
from runtime.models import Offloaded
from runtime.offload import Reference
from runtime.store import blobs
from runtime.store.values import Moved, NewItem, Outcome

Place = tuple[uuid.UUID, int]
"""A snapshot: its item and version."""

MOVABLE = {"data": OffloadPlace.STATE, "initial": OffloadPlace.STATE, "result": OffloadPlace.RESULT}
"""Fields of an outcome that are moved when they are large."""


def is_wanted(outcome: Outcome) -> bool:
    """Say whether anything of the outcome is to be moved. Where nothing is ever moved it costs one setting."""
    if not roost.OFFLOAD_BYTES:
        return False
    if outcome.advance and any(offload.is_large(getattr(outcome, name)) for name in MOVABLE):
        return True
    return any(offload.is_large(child.payload) for child in outcome.children)


def move_outcome(using: str, outcome: Outcome) -> Outcome:
    """Return the outcome with its large values, and its children's payloads, stored and replaced by references.

    The bytes are durable when this returns; the references are once the outcome is committed. Raises
    `StorageUnavailable` (retryable).
    """
    changes: dict[str, Any] = {}
    moved: list[Moved] = []
    for name, place in MOVABLE.items() if outcome.advance else ():
        text: str | None = getattr(outcome, name)
        if text is None or not offload.is_large(text):
            continue
        reference = _put(using, text)
        changes[name] = reference.text
        moved.append(Moved(place.value, outcome.version + 1 if name == "data" else 0, reference.sha256))
    children = tuple(move_payloads(using, outcome.children))
    whole = outcome.data if "data" in changes else outcome.whole
    return replace(outcome, children=children, moved=tuple(moved), whole=whole, **changes)


def move_payloads(using: str, items: Sequence[NewItem]) -> Sequence[NewItem]:
    """Return the items with large payloads stored and replaced by references.

    The bytes are durable when this returns, whatever becomes of a transaction around it; the references are once the
    items are inserted. Raises `StorageUnavailable`.
    """
    if not roost.OFFLOAD_BYTES:
        return items
    return [_moved(using, item) if offload.is_large(item.payload) else item for item in items]


def _moved(using: str, item: NewItem) -> NewItem:
    return replace(item, payload=_put(using, item.payload).text)


def _put(using: str, text: str) -> Reference:
    kept = blobs.put(using, offload.prepared(text))
    return Reference(kept.sha256, kept.size, kept.copy)


# Rows ---------------------------------------------------------------------------------------------------------------


def remember(using: str, accepted: Iterable[Outcome]) -> None:
    """Write which contents these outcomes refer to, in the transaction that commits them."""
    _write(using, [(outcome.item, *one) for outcome in accepted for one in outcome.moved])


def payloads(items: Iterable[NewItem]) -> dict[uuid.UUID, Reference]:
    """Return what the payloads of these items refer to; most refer to nothing. Pure."""
    return {item.id: found for item in items if (found := offload.in_text(item.payload)) is not None}


def remember_payloads(using: str, moved: dict[uuid.UUID, Reference], inserted: Collection[uuid.UUID]) -> None:
    """Write which contents the payloads of inserted items refer to, in the transaction that inserts them."""
    place = OffloadPlace.PAYLOAD.value
    _write(using, [(item, place, 0, one.sha256) for item, one in moved.items() if item in inserted])


def copy_state(using: str, source: Place, target: Place) -> None:
    """Let a snapshot that was copied keep the content that its original refers to.

    The caller has locked the original's item, without which nobody lets go of the content.
    """
    rows = Offloaded.objects.using(using).filter(place=OffloadPlace.STATE)
    found = rows.filter(work_item=source[0], version=source[1]).values_list("blob", flat=True).first()
    if found is not None:
        _write(using, [(target[0], OffloadPlace.STATE.value, target[1], found)])


def _write(using: str, rows: Sequence[tuple[uuid.UUID, str, int, str]]) -> None:
    if not rows:
        return
    made = [
        Offloaded(work_item_id=item, place=place, version=version, blob_id=sha256)
        for item, place, version, sha256 in sorted(rows)
    ]
    # A run that ends again has another result in the same place.
    Offloaded.objects.using(using).bulk_create(
        made,
        update_conflicts=True,
        unique_fields=["work_item", "place", "version"],
        update_fields=["blob"],
    )
