"""Look for everything that a sweep may have to do, in one statement: it runs every second in every worker."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from runtime.store.postgres.arrays import plain
from runtime.store.postgres.session import rows

GONE, LATE, LONG, FREE, OVER = "gone", "late", "long", "free", "over"

_HELD = """
SELECT 'gone', l.work_item_id, l.epoch, w.limited, l.revoked_at IS NOT NULL, NULL, NULL
FROM roost_lease l JOIN roost_workitem w ON w.id = l.work_item_id
WHERE {gone}
ORDER BY l.expires_at
LIMIT %s::int
"""
DEAD = _HELD.format(gone="l.worker_id = ANY (%s::uuid[])")
"""What dead workers hold, and nothing else."""
_GONE = _HELD.format(gone="(l.expires_at <= statement_timestamp() OR l.worker_id = ANY (%s::uuid[]))")

_LATE = """
SELECT 'late', id, NULL, NULL, NULL, NULL, NULL FROM roost_workitem
WHERE deadline_at IS NOT NULL AND state IN ('queued', 'waiting', 'paused') AND deadline_at <= statement_timestamp()
ORDER BY deadline_at
LIMIT %s::int
"""

_LONG = """
SELECT 'long', id, NULL, NULL, NULL, NULL, NULL FROM roost_workitem
WHERE state IN ('queued', 'running') AND timeout_at IS NOT NULL AND timeout_at <= statement_timestamp()
ORDER BY timeout_at
LIMIT %s::int
"""

_OVER = """
SELECT 'over', work_item_id, NULL, NULL, NULL, NULL, NULL FROM roost_wait
WHERE state = 'open' AND expires_at IS NOT NULL AND expires_at <= statement_timestamp()
ORDER BY expires_at
LIMIT %s::int
"""

# Resources with waiters, found by one descent of the index each, of which some waiter might have one now.
_FREE = """
WITH RECURSIVE contended(id) AS (
    (SELECT resource_id FROM roost_resourceclaim WHERE NOT held ORDER BY resource_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT resource_id FROM roost_resourceclaim WHERE NOT held AND resource_id > contended.id
        ORDER BY resource_id LIMIT 1
    ) FROM contended WHERE contended.id IS NOT NULL
)
SELECT 'free', NULL, NULL, NULL, NULL, r.namespace, r.key
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

LOOK = f"({_GONE}) UNION ALL ({_LATE}) UNION ALL ({_LONG}) UNION ALL ({_FREE}) UNION ALL ({_OVER})"
PARTS = 5


class Found(NamedTuple):
    """A lease, an item or a resource that asks for attention; what does not apply is None."""

    kind: str
    item: uuid.UUID
    epoch: int
    limited: bool
    revoked: bool
    namespace: str
    key: str


def look(using: str, dead: Sequence[uuid.UUID], batch: int, *, only_dead: bool = False) -> dict[str, list[Found]]:
    """Return up to `batch` of each: leases whose holder is gone, items past their deadline or timeout, free resources,
    and items with waits whose time is over.

    With `only_dead` nothing but leases of `dead`. Nothing is locked: whoever acts on it looks again.
    """
    found: defaultdict[str, list[Found]] = defaultdict(list)
    limit = str(batch)
    sql, parts = (DEAD, 1) if only_dead else (LOOK, PARTS)
    for row in rows(using, sql, [plain(dead), *[limit] * parts]):
        found[row[0]].append(Found._make(row))
    return found
