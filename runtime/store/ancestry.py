"""Count the triggers that led to an item, along its parents."""

from __future__ import annotations

import uuid

from django.db import connections

from runtime.models import WorkItem
from runtime.store.children import TRIGGERED

SPAWNED_BETWEEN = 10
"""How many generations are looked at for each trigger of the longest chain: others than triggers spawn too."""

CHAIN = """
WITH RECURSIVE chain(parent, triggers, hops) AS (
    SELECT parent_id, CASE WHEN relation = %s THEN 1 ELSE 0 END, 1 FROM roost_workitem WHERE id = %s
    UNION ALL
    SELECT w.parent_id, c.triggers + CASE WHEN w.relation = %s THEN 1 ELSE 0 END, c.hops + 1
    FROM chain c JOIN roost_workitem w ON w.id = c.parent
    WHERE c.triggers < %s AND c.hops < %s
)
SELECT coalesce(max(triggers), 0) FROM chain
"""


def triggers_before(using: str, item: uuid.UUID, most: int) -> int:
    """Return how many triggers led to the item, at most `most`: itself, its parent, and so on, as far as kept.

    An item whose parent was removed begins anew. Reads at most `most` times `SPAWNED_BETWEEN` rows by their keys.
    """
    connection = connections[using]
    key = WorkItem._meta.pk.get_db_prep_value(item, connection)
    with connection.cursor() as cursor:
        cursor.execute(CHAIN, [TRIGGERED, key, TRIGGERED, most, most * SPAWNED_BETWEEN])
        return int(cursor.fetchone()[0])
