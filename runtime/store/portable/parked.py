"""Find parked items whose resources are free, in case the release that freed them was lost or looked at too few."""

from __future__ import annotations

import uuid

from runtime import clock
from runtime.store import waking
from runtime.store.portable.statements import rows
from runtime.store.transactions import transacted

# An item is blocked by its own revoked lease, or by any of the claims that it wants. Those it only seems to get,
# because another parked item would take the same, are sorted out when they are woken.
FREE = """
SELECT w.id FROM roost_workitem w
WHERE w.state = 'queued' AND w.reason IN ('limit', 'resource') AND w.reason = 'resource'
    AND NOT EXISTS (SELECT 1 FROM roost_lease l WHERE l.work_item_id = w.id)
    AND NOT EXISTS (
        SELECT 1 FROM roost_resourceclaim wanted
        JOIN roost_resource r ON r.id = wanted.resource_id
        JOIN roost_resourceclaim held ON held.resource_id = r.id AND held.held AND held.work_item_id <> w.id
        WHERE wanted.work_item_id = w.id AND NOT wanted.held
        GROUP BY wanted.id
        HAVING wanted.mode = 'exclusive'
            OR sum(held.mode = 'exclusive') > 0
            OR (
                wanted.mode = 'counted'
                AND wanted.units + sum(CASE WHEN held.mode = 'counted' THEN held.units ELSE 0 END) > r.capacity
            )
    )
ORDER BY w.priority DESC, w.id
LIMIT %s
"""


def wake_parked(using: str, batch: int) -> int:
    """Wake parked items whose claims fit, at most `batch`, and no more than fit together; return how many."""

    def found() -> list[uuid.UUID]:
        return [uuid.UUID(row[0]) for row in rows(using, FREE, [batch])]

    def once() -> int:
        return waking.wake(using, found(), clock.now(using))

    return transacted(using, once) if found() else 0
