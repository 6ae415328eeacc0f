"""Take back what workers hold that are gone: their items are due again at once, or quarantined."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from runtime import itemlines
from runtime.choices import State
from runtime.conf import settings as roost
from runtime.models import WorkItem
from runtime.store import triggered, waits, waking
from runtime.store.postgres.acknowledge import drop_revoked
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.look import Found
from runtime.store.postgres.passing import lock_free, one_by_one, together_or_singly
from runtime.store.postgres.session import Rows, rows
from runtime.store.settling import settle_parents
from runtime.store.transactions import transacted
from runtime.store.values import Held

# The items' rows are locked by an earlier statement. The DELETE looks at each lease again once it has it: one that
# was renewed meanwhile stays.
RECOVER = """
WITH h AS MATERIALIZED (
    SELECT * FROM unnest(%s::uuid[], %s::bigint[]) AS h(item, epoch) LIMIT %s::int
), ended AS (
    DELETE FROM roost_lease l USING h
    WHERE l.work_item_id = h.item AND l.epoch = h.epoch AND l.revoked_at IS NULL
        AND (l.expires_at <= statement_timestamp() OR l.worker_id = ANY (%s::uuid[]))
    RETURNING l.work_item_id, l.worker_id, l.alone
), judged AS MATERIALIZED (
    SELECT ended.*, limits.allowed, ended.alone AND w.deaths + 1 >= 2 + limits.allowed AS poison
    FROM ended JOIN roost_workitem w ON w.id = ended.work_item_id, (SELECT %s::int AS allowed) limits
), written AS (
    UPDATE roost_workitem w SET
        state = CASE WHEN j.poison THEN 'failed' WHEN w.pause_requested THEN 'paused' ELSE 'queued' END,
        reason = CASE WHEN j.poison THEN 'poison' WHEN w.pause_requested THEN 'operator' ELSE 'recovered' END,
        paused_from = CASE WHEN w.pause_requested AND NOT j.poison THEN 'queued' ELSE '' END,
        away_since = CASE WHEN w.pause_requested AND NOT j.poison THEN statement_timestamp() END,
        pause_requested = false,
        finished_at = CASE WHEN j.poison THEN statement_timestamp() END,
        last_error = CASE WHEN j.poison THEN jsonb_build_object(
            'type', 'Poison', 'code', 'poison',
            'message', format(
                '%%s workers in a row ended while they ran this item, the last %%s running nothing else.',
                w.deaths + 1, j.allowed
            )
        ) ELSE w.last_error END,
        fingerprint = CASE WHEN j.poison THEN 'poison' ELSE w.fingerprint END,
        run_at = statement_timestamp(),
        deaths = w.deaths + 1,
        epoch = w.epoch + 1,
        event_seq = w.event_seq + 1 + (w.pause_requested AND NOT j.poison)::int,
        row_version = w.row_version + 1,
        updated_at = statement_timestamp()
    FROM judged j
    WHERE w.id = j.work_item_id AND w.state = 'running'
    RETURNING w.id, w.state, w.reason, w.version, w.epoch, w.attempt, w.event_seq, w.deaths, w.last_error, j.worker_id
), told AS (
    INSERT INTO roost_event (
        work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, data, created_at
    )
    SELECT id, event_seq - (state = 'paused')::int, 'recovered', version, epoch, attempt, worker_id, '', 'recovered',
        jsonb_build_object('deaths', deaths), statement_timestamp()
    FROM written WHERE state <> 'failed'
    UNION ALL
    SELECT id, event_seq, state, version, epoch, attempt, worker_id, '', reason,
        CASE WHEN state = 'failed' THEN last_error END, statement_timestamp()
    FROM written WHERE state <> 'queued'
)
SELECT id, state, worker_id FROM written
"""


class Recovered(NamedTuple):
    """What became of the leases of workers that are gone."""

    states: dict[uuid.UUID, str]
    dropped: int
    woken: int

    @property
    def quarantined(self) -> int:
        """How many of the items were quarantined."""
        return sum(state == State.FAILED for state in self.states.values())


def recover(using: str, found: Sequence[Found], dead: Sequence[uuid.UUID]) -> Recovered:
    """Take back items whose lease has expired or belongs to a dead worker; drop such leases where they were revoked.

    Items without resources are one transaction that waits for nobody, the rest another.
    """
    revoked = [Held(one.item, one.epoch) for one in found if one.revoked]
    free = [Held(one.item, one.epoch) for one in found if not (one.limited or one.revoked)]
    bound = [Held(one.item, one.epoch) for one in found if one.limited and not one.revoked]
    states: dict[uuid.UUID, str] = {}
    dropped = 0

    def recover_free(held: Sequence[Held]) -> int:
        states.update(transacted(using, lambda: _recover_free(using, held, dead)))
        return 0

    def recover_bound(held: Sequence[Held]) -> int:
        more, woken = transacted(using, lambda: _recover_bound(using, held, dead))
        states.update(more)
        return woken

    def drop(held: Sequence[Held]) -> int:
        nonlocal dropped
        some, woken = drop_revoked(using, held, dead, expired=True)
        dropped += some
        return woken

    together_or_singly(free, recover_free)
    woken = together_or_singly(bound, recover_bound) + together_or_singly(revoked, drop)
    failed = [item for item, state in states.items() if state == State.FAILED]
    one_by_one([lambda: len(settle_parents(using, failed))])
    return Recovered(states, dropped, woken)


def _recover_free(using: str, held: Sequence[Held], dead: Sequence[uuid.UUID]) -> Rows:
    locked = lock_free(using, [item for item, _ in held])
    return _write(using, [lease for lease in held if lease.item in locked], dead)


def _recover_bound(using: str, held: Sequence[Held], dead: Sequence[uuid.UUID]) -> tuple[Rows, int]:
    freeing = waking.prepare(using, [item for item, _ in held])
    written = _write(using, held, dead)
    return written, waking.finish(freeing, [row[0] for row in written])


def _write(using: str, held: Sequence[Held], dead: Sequence[uuid.UUID]) -> Rows:
    items, epochs = plain([item for item, _ in held]), plain([epoch for _, epoch in held])
    written = rows(using, RECOVER, [items, epochs, str(len(held)), plain(dead), str(roost.MAX_DEATHS)])
    failed = {item: worker for item, state, worker in written if state == State.FAILED}
    triggered.follow_ids(using, list(failed))
    if failed:
        waits.withdraw(using, list(failed))
        for item in WorkItem.objects.using(using).filter(pk__in=failed).order_by("pk"):
            itemlines.failed(using, item, failed[item.pk])
    return [(item, state) for item, state, _ in written]
