"""Prolong a worker's leases, and learn which of them are lost."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from runtime import clock
from runtime.choices import WorkerState
from runtime.conf import settings as roost
from runtime.store.portable.statements import later, rows, stored, write_many
from runtime.store.transactions import transacted
from runtime.store.values import Beat, Held

PROLONG = """
UPDATE roost_lease SET expires_at = %s, progress = coalesce(%s, progress), row_version = row_version + 1
WHERE work_item_id = %s AND epoch = %s AND worker_id = %s AND revoked_at IS NULL
"""

PROLONG_REVOKED = """
UPDATE roost_lease SET expires_at = %s, row_version = row_version + 1
WHERE work_item_id = %s AND epoch = %s AND worker_id = %s AND revoked_at IS NOT NULL
"""

GOOD = "SELECT work_item_id, epoch FROM roost_lease WHERE worker_id = %s AND revoked_at IS NULL"

# A worker that was taken for dead and beats again is online again.
BEAT = """
UPDATE roost_worker SET
    heartbeat_at = %s, row_version = row_version + 1, stopped_at = NULL,
    state = CASE WHEN state = 'offline' THEN 'online' ELSE state END
WHERE id = %s
"""

DESIRED = "SELECT desired_state FROM roost_worker WHERE id = %s"


def renew(
    using: str, worker: uuid.UUID, held: Sequence[Held], progress: Mapping[uuid.UUID, str], still: Sequence[Held]
) -> Beat:
    """Prolong the leases in `held`, record the progress and the heartbeat; a worker without a row shall stop.

    Those in `still` are prolonged although they are revoked.
    """
    return transacted(using, lambda: _renew(using, worker, held, progress, still))


def _renew(
    using: str, worker: uuid.UUID, held: Sequence[Held], progress: Mapping[uuid.UUID, str], still: Sequence[Held]
) -> Beat:
    now = clock.now(using)
    expires = stored(using, later(now, roost.LEASE_SECONDS))
    known = [(expires, progress.get(one.item), one.item.hex, one.epoch, worker.hex) for one in held]
    write_many(using, PROLONG, known)
    write_many(using, PROLONG_REVOKED, [(expires, one.item.hex, one.epoch, worker.hex) for one in still])
    write_many(using, BEAT, [(stored(using, now), worker.hex)])
    good = {Held(uuid.UUID(item), epoch) for item, epoch in rows(using, GOOD, [worker.hex])}
    desired = rows(using, DESIRED, [worker.hex])
    return Beat(
        lost=frozenset(set(held) - good),
        strangers=frozenset(good - set(held)),
        desired_state=str(desired[0][0]) if desired else WorkerState.OFFLINE.value,
    )
