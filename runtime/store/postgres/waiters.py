"""Wake parked items whose resources are free although nobody woke them.

Whoever frees a resource wakes its waiters, but looks at the first hundred only, and nobody is told when an operator
raises a capacity.
"""

from __future__ import annotations

from runtime import clock
from runtime.store import waking
from runtime.store.postgres.session import rows
from runtime.store.resources import Key
from runtime.store.transactions import transacted

# Resources with waiters, found by one descent of the index each, of which the first waiter might have one now.
FREE = """
WITH RECURSIVE contended(id) AS (
    (SELECT resource_id FROM roost_resourceclaim WHERE NOT held ORDER BY resource_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT resource_id FROM roost_resourceclaim WHERE NOT held AND resource_id > contended.id
        ORDER BY resource_id LIMIT 1
    ) FROM contended WHERE contended.id IS NOT NULL
)
SELECT r.namespace, r.key
FROM contended JOIN roost_resource r ON r.id = contended.id, LATERAL (
    SELECT count(*) AS holders, count(*) FILTER (WHERE mode = 'exclusive') AS exclusive,
        coalesce(sum(units) FILTER (WHERE mode = 'counted'), 0) AS used
    FROM roost_resourceclaim c WHERE c.resource_id = r.id AND held
) held
WHERE held.holders = 0 OR held.exclusive = 0 AND EXISTS (
    SELECT FROM roost_resourceclaim c
    WHERE c.resource_id = r.id AND NOT held
        AND (mode = 'shared' OR mode = 'counted' AND held.used + units <= r.capacity)
)
ORDER BY random()
LIMIT %s::int
"""


def wake_missed(using: str, batch: int) -> int:
    """Wake the waiters that fit of up to `batch` resources; return how many were woken."""
    keys = [Key._make(row) for row in rows(using, FREE, [str(batch)])]

    def once() -> int:
        freeing = waking.prepare(using, (), keys=keys)
        return waking.wake(using, freeing.waiters, clock.now(using))

    return transacted(using, once) if keys else 0
