"""Give items back that were never, or no longer, run: due at once, costing neither attempt nor death."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial

from django.db import OperationalError, connections

from runtime.conf import settings as roost
from runtime.store import waking
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.session import rows
from runtime.store.transactions import lock_not_available, transacted
from runtime.store.values import Held

logger = logging.getLogger("roost.store")

TOGETHER_MS = 500
SINGLY_MS = 50
"""How long a release waits for rows that somebody else has locked: that of all items, and that of one after the other.
"""

# The items' rows are locked: `waking.prepare` came before.
RELEASE = """
WITH h AS MATERIALIZED (
    SELECT * FROM unnest(%s::uuid[], %s::bigint[]) AS h(item, epoch) LIMIT %s::int
), ended AS (
    DELETE FROM roost_lease l USING h
    WHERE l.work_item_id = h.item AND l.epoch = h.epoch AND l.worker_id = %s::uuid AND l.revoked_at IS NULL
    RETURNING l.work_item_id, l.worker_id
), written AS (
    UPDATE roost_workitem w SET
        state = CASE WHEN w.pause_requested THEN 'paused' ELSE 'queued' END,
        reason = CASE WHEN w.pause_requested THEN 'operator' ELSE 'released' END,
        paused_from = CASE WHEN w.pause_requested THEN 'queued' ELSE '' END,
        away_since = CASE WHEN w.pause_requested THEN statement_timestamp() END,
        pause_requested = false,
        run_at = statement_timestamp(),
        epoch = w.epoch + 1,
        event_seq = w.event_seq + 1 + w.pause_requested::int,
        row_version = w.row_version + 1,
        updated_at = statement_timestamp()
    FROM ended
    WHERE w.id = ended.work_item_id AND w.state = 'running'
    RETURNING w.id, w.state, w.version, w.epoch, w.attempt, w.event_seq, ended.worker_id
), told AS (
    INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, created_at)
    SELECT id, event_seq - (state = 'paused')::int, 'released', version, epoch, attempt, worker_id, '', %s::text,
        statement_timestamp()
    FROM written
    UNION ALL
    SELECT id, event_seq, 'paused', version, epoch, attempt, worker_id, '', 'operator', statement_timestamp()
    FROM written WHERE state = 'paused'
)
SELECT id FROM written
"""


def release(using: str, worker: uuid.UUID, held: Sequence[Held], reason: str) -> int:
    """Give these items back; return how many were still ours. `reason` is told by their events.

    Together, or where somebody keeps rows locked, one by one: one that cannot be given back now must not leave the
    others to the sweep, which would count it as a death.
    """
    if not held:
        return 0

    def some(part: Sequence[Held]) -> int:
        freeing = waking.prepare(using, [item for item, _ in part])
        items, epochs = plain([item for item, _ in part]), plain([epoch for _, epoch in part])
        freed = [row[0] for row in rows(using, RELEASE, [items, epochs, str(len(part)), worker, reason])]
        waking.finish(freeing, freed)
        return len(freed)

    most = roost.LOCK_TIMEOUT_MS
    if len(held) == 1 or connections[using].in_atomic_block:
        return transacted(using, partial(some, held), lock_ms=most)
    try:
        return transacted(using, partial(some, held), lock_ms=min(TOGETHER_MS, most))
    except OperationalError as error:
        if not lock_not_available(error):
            raise
    return _singly(using, some, held)


def _singly(using: str, give_back: Callable[[Sequence[Held]], int], held: Sequence[Held]) -> int:
    freed = 0
    for one in held:
        try:
            freed += transacted(using, partial(give_back, [one]), lock_ms=min(SINGLY_MS, roost.LOCK_TIMEOUT_MS))
        except OperationalError as error:
            if not lock_not_available(error):
                raise
            logger.warning("item %s cannot be given back now: somebody keeps rows locked", one.item)
    return freed
