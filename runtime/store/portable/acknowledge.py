"""Let go of the claims of items that an operator took away, once their step has ended."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime.models import Lease
from runtime.store import waking
from runtime.store.transactions import transacted
from runtime.store.values import Held


def acknowledge(using: str, worker: uuid.UUID, held: Sequence[Held]) -> int:
    """Drop this worker's revoked leases of these items and epochs; return how many there were."""
    if not held:
        return 0
    return transacted(using, lambda: _acknowledge(using, worker, frozenset(held)))


def _acknowledge(using: str, worker: uuid.UUID, held: frozenset[Held]) -> int:
    items = {one.item for one in held}
    freeing = waking.prepare(using, items)
    leases = Lease.objects.using(using).filter(worker=worker, work_item__in=items, revoked_at__isnull=False)
    ours = [lease.pk for lease in leases if Held(lease.pk, lease.epoch) in held]
    Lease.objects.using(using).filter(pk__in=ours).delete()
    waking.finish(freeing, ours)
    return len(ours)
