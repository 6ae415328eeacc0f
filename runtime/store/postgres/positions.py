"""Read back where items are after a COMMIT whose answer was lost."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime.store.postgres.arrays import plain
from runtime.store.postgres.session import rows
from runtime.store.values import Position

READ_BACK = """
SELECT w.id, w.state, w.epoch, w.version,
    EXISTS (SELECT FROM roost_lease l WHERE l.work_item_id = w.id AND l.epoch = w.epoch AND l.revoked_at IS NULL)
FROM roost_workitem w
WHERE w.id = ANY (%s::uuid[])
"""


def read_back(using: str, items: Sequence[uuid.UUID]) -> dict[uuid.UUID, Position]:
    """Return where these items are now; items that do not exist are left out."""
    return {row[0]: Position._make(row[1:]) for row in rows(using, READ_BACK, [plain(items)])}
