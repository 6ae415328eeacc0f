"""Let go of the claims of items that were taken away, once their step has ended or its worker is gone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime.store import waking
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.session import rows
from runtime.store.transactions import impatiently, transacted
from runtime.store.values import Held

PATIENCE_MS = 500
"""How long a worker, who has other steps to write, waits for resources that somebody else has locked."""

DROP = """
DELETE FROM roost_lease l
USING (SELECT * FROM unnest(%s::uuid[], %s::bigint[]) LIMIT %s::int) AS h(item, epoch)
WHERE l.work_item_id = h.item AND l.epoch = h.epoch AND l.revoked_at IS NOT NULL
    AND (l.worker_id = ANY (%s::uuid[]) OR %s::bool AND l.expires_at <= statement_timestamp())
RETURNING l.work_item_id
"""


def acknowledge(using: str, worker: uuid.UUID, held: Sequence[Held]) -> int:
    """Drop this worker's revoked leases, free their claims and wake waiters; return how many leases there were.

    Waits no longer than a moment for who has these resources locked: when the leases expire, the sweep drops them.
    """
    with impatiently(PATIENCE_MS):
        return drop_revoked(using, held, [worker], expired=False)[0]


def drop_revoked(using: str, held: Sequence[Held], workers: Sequence[uuid.UUID], *, expired: bool) -> tuple[int, int]:
    """Drop revoked leases of these workers, and with `expired` those of anybody that have expired.

    Frees their claims. Returns how many leases were dropped and how many waiters woken. One transaction.
    """
    if not held:
        return 0, 0

    def once() -> tuple[int, int]:
        freeing = waking.prepare(using, [item for item, _ in held])
        items, epochs = plain([item for item, _ in held]), plain([epoch for _, epoch in held])
        dropped = rows(using, DROP, [items, epochs, str(len(held)), plain(workers), expired])
        return len(dropped), waking.finish(freeing, [row[0] for row in dropped])

    return transacted(using, once)
