"""Wake parked items whose resources are free although nobody woke them.

Whoever frees a resource wakes its waiters, but looks at the first hundred only and passes over those that somebody
keeps locked, and nobody is told when an operator raises a capacity.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime import clock
from runtime.store import waking
from runtime.store.postgres.arrays import texts
from runtime.store.postgres.look import Found
from runtime.store.postgres.session import rows
from runtime.store.transactions import transacted

# Of each resource those that nothing stands in the way of, however many others wait in front of them for something
# else: an item is blocked by its own revoked lease, or by any of the claims that it wants.
FITTING = """
SELECT DISTINCT found.id, found.priority, found.created_at FROM unnest(%s::text[], %s::text[]) AS free(namespace, key)
JOIN roost_resource r USING (namespace, key), LATERAL (
    SELECT w.id, w.priority, c.created_at FROM roost_resourceclaim c JOIN roost_workitem w ON w.id = c.work_item_id
    WHERE c.resource_id = r.id AND NOT c.held AND w.state = 'queued' AND w.reason = 'resource'
        AND NOT EXISTS (SELECT FROM roost_lease l WHERE l.work_item_id = w.id)
        AND NOT EXISTS (
            SELECT FROM roost_resourceclaim wanted JOIN roost_resource whole ON whole.id = wanted.resource_id, LATERAL (
                SELECT count(*) AS holders, count(*) FILTER (WHERE mode = 'exclusive') AS exclusive,
                    coalesce(sum(units) FILTER (WHERE mode = 'counted'), 0) AS used
                FROM roost_resourceclaim other
                WHERE other.resource_id = wanted.resource_id AND other.held AND other.work_item_id <> w.id
            ) held
            WHERE wanted.work_item_id = w.id AND NOT wanted.held AND (
                held.exclusive > 0 OR wanted.mode = 'exclusive' AND held.holders > 0
                OR wanted.mode = 'counted' AND held.used + wanted.units > whole.capacity
            )
        )
    ORDER BY w.priority DESC, c.created_at, c.id
    LIMIT %s::int
) found
ORDER BY found.priority DESC, found.created_at, found.id
"""

MOST = 20
"""Waiters of one resource that are woken at once."""


def wake_missed(using: str, found: Sequence[Found]) -> int:
    """Wake the waiters that fit of these resources; return how many were woken."""
    names = [texts([one.namespace for one in found]), texts([one.key for one in found])]

    def once() -> int:
        waiters = dict.fromkeys(row[0] for row in rows(using, FITTING, [*names, str(MOST)]))
        return waking.wake(using, tuple(waiters), clock.now(using)) if waiters else 0

    return transacted(using, once) if found else 0
