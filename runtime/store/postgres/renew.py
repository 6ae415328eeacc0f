"""Prolong leases and say which are lost. Rows that others have locked are passed over, never waited for.

That goes for the worker's own row too: whoever keeps it locked costs it heartbeats, but none of its leases. A worker
whose session holds its liveness lock is dead to nobody for a heartbeat that is old.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from runtime.choices import WorkerState
from runtime.conf import settings as roost
from runtime.store.postgres.arrays import plain, texts
from runtime.store.postgres.session import GUARD, lock_timeout, rows
from runtime.store.values import Beat, Held

RENEW = f"""
WITH h AS MATERIALIZED (
    SELECT h.* FROM {GUARD}, unnest(%s::uuid[], %s::bigint[], %s::text[]) AS h(item, epoch, progress) LIMIT %s::int
), ours AS MATERIALIZED (
    SELECT h.item, h.progress FROM h, LATERAL (
        SELECT FROM roost_lease
        WHERE work_item_id = h.item AND epoch = h.epoch AND worker_id = %s::uuid AND revoked_at IS NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ) l
), renewed AS (
    UPDATE roost_lease l SET
        expires_at = statement_timestamp() + %s::float8 * interval '1 second',
        progress = coalesce(ours.progress::jsonb, l.progress),
        row_version = l.row_version + 1
    FROM ours
    WHERE l.work_item_id = ours.item
), me AS MATERIALIZED (
    SELECT id FROM roost_worker WHERE id = %s::uuid FOR NO KEY UPDATE SKIP LOCKED
), beat AS (
    UPDATE roost_worker w SET
        heartbeat_at = statement_timestamp(),
        -- A worker that was taken for dead and beats again is online again.
        state = CASE WHEN w.state = 'offline' THEN 'online' ELSE w.state END,
        stopped_at = NULL,
        row_version = w.row_version + 1
    FROM me
    WHERE w.id = me.id
)
SELECT desired_state, EXISTS (SELECT FROM roost_lease WHERE worker_id = roost_worker.id AND revoked_at IS NULL)
FROM roost_worker WHERE id = %s::uuid
"""

REVOKED = f"""
WITH h AS MATERIALIZED (
    SELECT h.* FROM {GUARD}, unnest(%s::uuid[], %s::bigint[]) AS h(item, epoch) LIMIT %s::int
), ours AS MATERIALIZED (
    SELECT h.item FROM h, LATERAL (
        SELECT FROM roost_lease
        WHERE work_item_id = h.item AND epoch = h.epoch AND worker_id = %s::uuid AND revoked_at IS NOT NULL
        FOR NO KEY UPDATE SKIP LOCKED
    ) l
)
UPDATE roost_lease l SET
    expires_at = statement_timestamp() + %s::float8 * interval '1 second',
    row_version = l.row_version + 1
FROM ours
WHERE l.work_item_id = ours.item
"""

LEASES = "SELECT work_item_id, epoch FROM roost_lease WHERE worker_id = %s::uuid AND revoked_at IS NULL"


def renew(
    using: str, worker: uuid.UUID, held: Sequence[Held], progress: Mapping[uuid.UUID, str], still: Sequence[Held]
) -> Beat:
    """Prolong this worker's leases and its heartbeat, and those in `still` although they are revoked.

    A worker without a row shall stop. What is lost is told by a later look at the leases, so that a row which was
    locked just now does not count as lost.
    """
    ordered = sorted(held)
    params = [
        lock_timeout(using),
        plain([item for item, _ in ordered]),
        plain([epoch for _, epoch in ordered]),
        texts([progress.get(item) for item, _ in ordered]),
        str(len(ordered)),
        worker,
        str(roost.LEASE_SECONDS),
        worker,
        worker,
    ]
    wanted, any_leases = next(iter(rows(using, RENEW, params)), (WorkerState.OFFLINE, True))
    if still:
        _prolong_revoked(using, worker, sorted(still))
    # An idle worker's heartbeat is one statement.
    leases = rows(using, LEASES, [worker]) if held or any_leases else []
    ours = frozenset(Held._make(row) for row in leases)
    return Beat(lost=frozenset(held) - ours, strangers=ours - frozenset(held), desired_state=wanted)


def _prolong_revoked(using: str, worker: uuid.UUID, ordered: Sequence[Held]) -> None:
    items, epochs = plain([item for item, _ in ordered]), plain([epoch for _, epoch in ordered])
    limit, seconds = str(len(ordered)), str(roost.LEASE_SECONDS)
    rows(using, REVOKED, [lock_timeout(using), items, epochs, limit, worker, seconds])
