"""Take due items for a worker, with their leases, their resource claims and their state."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Any

from runtime import clock
from runtime.conf import settings as roost
from runtime.store import resources
from runtime.store.portable.due import DUE_COLUMNS, Due, highest_priority, lanes, serves
from runtime.store.portable.ruled import Rules
from runtime.store.portable.statements import later, places, rows, stored, told, write_many
from runtime.store.resources import Candidate
from runtime.store.transactions import transacted
from runtime.store.turns import Turns
from runtime.store.values import Claimed, ClaimRequest
from runtime.store.waits import with_answers

DUE = f"""
SELECT {DUE_COLUMNS} FROM roost_workitem
WHERE {{lane}} AND priority = %s AND run_at <= %s {{mine}}
"""

OLDEST_FIRST = "ORDER BY run_at, id LIMIT %s"

MARK = """
UPDATE roost_workitem SET
    state = 'running', reason = '', epoch = %s, event_seq = %s, row_version = row_version + 1,
    started_at = coalesce(started_at, %s), timeout_at = coalesce(timeout_at, %s), updated_at = %s
WHERE id = %s
"""

# A lease may be left over from before an operator took the item away: it is replaced.
LEASE = """
INSERT OR REPLACE INTO roost_lease (
    work_item_id, worker_id, epoch, acquired_at, expires_at, revoked_at, alone, progress, row_version
) VALUES (%s, %s, %s, %s, %s, NULL, %s, NULL, 1)
"""

TELL = """
INSERT INTO roost_event (work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, created_at)
VALUES (%s, %s, 'claimed', %s, %s, %s, %s, '', '', %s)
"""

READ = """
SELECT w.id, w.namespace, w.engine, w.engine_version, w.payload, w.config, w.priority, w.fair_key, w.pool,
    s.state_schema, w.resources, w.limited, w.epoch, w.version, w.attempt, w.max_attempts, w.deaths, w.step_label,
    w.steps_total, w.max_steps, w.step_timeout, w.timeout_at, w.parent_id, w.created_at, w.deadline_at, NULL, s.data,
    CASE WHEN w.asked THEN '' END
FROM roost_workitem w
LEFT JOIN roost_snapshot s ON s.work_item_id = w.id AND s.version = w.version
WHERE w.id IN ({ids})
ORDER BY w.priority DESC, w.run_at, w.id
"""


def claim(using: str, request: ClaimRequest, turns: Turns) -> list[Claimed]:
    """Take due items, most urgent first; a suspect alone. Looks first without the write lock, so idling takes none."""
    if request.limit < 1 or highest_priority(using, request) is None:
        return []

    def once() -> list[Claimed]:
        now = clock.now(using)
        rules = Rules.apply_to(using, request, turns, now)
        if rules is None:
            return _read(using, _take(using, request, now), now)
        return rules.told(_read(using, _take_ruled(using, request, rules, now), now))

    return transacted(using, once)


def _take(using: str, request: ClaimRequest, now: dt.datetime) -> list[str]:
    """Mark due items until there are enough or no more; those whose resources are held leave the queue on the way."""
    wanted = 1 if request.alone else request.limit
    mine, params = serves(request)
    query = "UNION ALL".join(DUE.format(lane=lane, mine=mine) for lane in lanes(request)) + OLDEST_FIRST
    taken: list[str] = []
    rank = highest_priority(using, request)
    while rank is not None and len(taken) < wanted:
        left = wanted - len(taken)
        of_lanes = [rank, stored(using, now), *params] * len(lanes(request))
        found = [Due._make(row) for row in rows(using, query, [*of_lanes, left])]
        granted = _granted(using, found, now)
        _mark(using, request.worker, granted, now, alone=request.alone)
        taken += [due.id for due in granted]
        if len(found) < left:
            rank = highest_priority(using, request, below=rank)
    return taken


def _take_ruled(using: str, request: ClaimRequest, rules: Rules, now: dt.datetime) -> list[str]:
    """Mark due items, rank by rank, in the order and the number that fairness keys and limits allow."""
    wanted = 1 if request.alone else request.limit
    taken: list[str] = []
    rank = highest_priority(using, request)
    while rank is not None and len(taken) < wanted:
        found = rules.choose(rank, wanted - len(taken))
        granted = _granted(using, found, now)
        _mark(using, request.worker, granted, now, alone=request.alone)
        rules.started(found, granted)
        taken += [due.id for due in granted]
        if len(granted) == len(found):
            rank = highest_priority(using, request, below=rank)
    rules.take_tokens()
    return taken


def _granted(using: str, found: Sequence[Due], now: dt.datetime) -> Sequence[Due]:
    """Return those that need no resources or get theirs, now; park the others."""
    limited = [Candidate.of(uuid.UUID(due.id), due.namespace, due.resources) for due in found if due.limited]
    if not limited:
        return found
    locked = resources.lock(using, [key for candidate in limited for key in candidate.asks])
    verdict = resources.judge(using, limited, locked)
    epochs = {uuid.UUID(due.id): due.epoch + 1 for due in found}
    resources.grant(using, verdict.granted, locked, epochs, now)
    resources.park(using, verdict.parked, locked, now)
    parked = {candidate.item.hex for candidate in verdict.parked}
    return [due for due in found if due.id not in parked]


def _mark(using: str, worker: uuid.UUID, taken: Sequence[Due], now: dt.datetime, *, alone: bool) -> None:
    moment, expires = stored(using, now), stored(using, later(now, roost.LEASE_SECONDS))
    items: list[Sequence[Any]] = []
    for due in taken:
        timeout = None if due.item_timeout is None else stored(using, later(now, due.item_timeout))
        items.append((due.epoch + 1, due.event_seq + 1, moment, timeout, moment, due.id))
    write_many(using, MARK, items)
    write_many(using, LEASE, [(due.id, worker.hex, due.epoch + 1, moment, expires, alone) for due in taken])
    told_of = [(d.id, d.event_seq + 1, d.version, d.epoch + 1, d.attempt, worker.hex, moment) for d in taken]
    write_many(using, TELL, told_of)


def _read(using: str, taken: Sequence[str], now: dt.datetime) -> list[Claimed]:
    if not taken:
        return []
    return with_answers(
        using, [_claimed(using, row, now) for row in rows(using, READ.format(ids=places(taken)), taken)]
    )


def _claimed(using: str, row: Sequence[Any], now: dt.datetime) -> Claimed:
    found = Claimed(*row)
    timeout_at = told(using, row[Claimed._fields.index("timeout_left")])
    created_at = told(using, found.created_at)
    assert created_at is not None  # noqa: S101 - narrows the type
    return found._replace(
        id=uuid.UUID(row[0]),
        limited=bool(found.limited),
        timeout_left=None if timeout_at is None else (timeout_at - now).total_seconds(),
        parent_id=None if found.parent_id is None else uuid.UUID(str(found.parent_id)),
        created_at=created_at,
        deadline_at=told(using, found.deadline_at),
        claimed_at=now,
    )
