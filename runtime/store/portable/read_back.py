"""Read where items are, after an answer was lost."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime.store.portable.statements import keys, places, rows
from runtime.store.values import Position

POSITIONS = """
SELECT w.id, w.state, w.epoch, w.version, l.work_item_id IS NOT NULL
FROM roost_workitem w
LEFT JOIN roost_lease l ON l.work_item_id = w.id AND l.epoch = w.epoch AND l.revoked_at IS NULL
WHERE w.id IN ({ids})
"""


def read_back(using: str, items: Sequence[uuid.UUID]) -> dict[uuid.UUID, Position]:
    """Return the position of each item that exists; `leased` says that a good lease is there."""
    if not items:
        return {}
    found = rows(using, POSITIONS.format(ids=places(items)), keys(items))
    return {uuid.UUID(pk): Position(state, epoch, version, bool(leased)) for pk, state, epoch, version, leased in found}
