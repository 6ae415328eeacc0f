"""Mark locked items as running, with their leases and `claimed` events."""

from __future__ import annotations

import uuid
from typing import Any

from runtime.conf import settings as roost
from runtime.store.postgres.session import seconds
from runtime.store.values import ClaimRequest

Taken = tuple[Any, ...]
"""A marked item: its id and its epoch."""

MARK = f"""
marked AS (
    UPDATE roost_workitem w SET
        state = 'running',
        reason = '',
        epoch = w.epoch + 1,
        event_seq = w.event_seq + 1,
        row_version = w.row_version + 1,
        started_at = coalesce(w.started_at, statement_timestamp()),
        timeout_at = coalesce(w.timeout_at, statement_timestamp() + {seconds("w.item_timeout")}),
        updated_at = statement_timestamp()
    FROM chosen
    WHERE w.id = chosen.id
    RETURNING w.id, w.epoch, w.version, w.event_seq, w.attempt
), leased AS (
    -- A lease may be left over from before an operator took the item away.
    INSERT INTO roost_lease AS l (work_item_id, worker_id, epoch, acquired_at, expires_at, alone, row_version)
    SELECT id, %s::uuid, epoch, statement_timestamp(), statement_timestamp() + %s::float8 * interval '1 second',
        %s::bool, 1
    FROM marked
    ON CONFLICT (work_item_id) DO UPDATE SET
        worker_id = excluded.worker_id, epoch = excluded.epoch, acquired_at = excluded.acquired_at,
        expires_at = excluded.expires_at, alone = excluded.alone, revoked_at = NULL, progress = NULL,
        row_version = l.row_version + 1
), told AS (
    INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, created_at)
    SELECT id, event_seq, 'claimed', version, epoch, attempt, %s::uuid, '', '', statement_timestamp() FROM marked
)"""
"""Mark the items of the CTE `chosen`, whose rows are locked. Parameters: `marks(request, alone)`."""


def marks(request: ClaimRequest, *, alone: bool) -> list[object]:
    """Return the parameters of MARK."""
    worker: uuid.UUID = request.worker
    return [worker, str(roost.LEASE_SECONDS), alone, worker]
