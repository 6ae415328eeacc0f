"""Write the begins and ends of recorded calls: one statement for all that are ready, each row fenced alone.

An item's row that somebody else has locked is passed over, so that one item never holds up the calls of others; its
write is answered as busy and sent again. What was not written is looked at in a later statement, which says why.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime.choices import JournalState
from runtime.journal.entries import BUSY, FENCED, WRITTEN, Answer, Begin, End, Entry, Found, Write, judge
from runtime.store import quotas
from runtime.store.postgres.arrays import plain, slices, texts
from runtime.store.postgres.session import GUARD, lock_timeout, rows
from runtime.store.transactions import transacted

# A begin says nothing but `started`, an end anything else. An entry is begun once: by INSERT where there is none, by
# UPDATE where its rules allow it; what the lock on the item let in between is left to the look.
WRITE = f"""
WITH j AS MATERIALIZED (
    SELECT j.* FROM {GUARD}, unnest(
        %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::uuid[], %s::uuid[], %s::text[],
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[]
    ) AS j(item, epoch, version, base, key, call, replaces, state, name, hash, idempotency_key, result, error)
    LIMIT %s::int
), ours AS MATERIALIZED (
    SELECT j.* FROM j, LATERAL (
        SELECT FROM roost_workitem
        WHERE id = j.item AND state = 'running' AND epoch = j.epoch AND version = j.version
        FOR NO KEY UPDATE SKIP LOCKED
    ) w
), made AS (
    INSERT INTO roost_journalentry (
        work_item_id, base_version, key, name, input_hash, idempotency_key, state, attempts, epoch, call_id, started_at
    )
    SELECT o.item, o.base, o.key, o.name, o.hash, o.idempotency_key, 'started', 1, o.epoch, o.call,
        statement_timestamp()
    FROM ours o
    WHERE o.state = 'started' AND NOT EXISTS (
        SELECT FROM roost_journalentry e WHERE e.work_item_id = o.item AND e.base_version = o.base AND e.key = o.key
    )
    ON CONFLICT DO NOTHING
    RETURNING call_id, attempts
), again AS (
    UPDATE roost_journalentry e SET
        state = 'started', attempts = e.attempts + 1, epoch = o.epoch, call_id = o.call,
        started_at = statement_timestamp(), ended_at = NULL
    FROM ours o
    WHERE e.work_item_id = o.item AND e.base_version = o.base AND e.key = o.key
        AND o.state = 'started' AND e.input_hash = o.hash
        AND (e.state = 'retry' OR (e.state = 'started' AND e.call_id = o.replaces))
    RETURNING e.call_id, e.attempts
), ended AS (
    UPDATE roost_journalentry e SET
        state = o.state, result = o.result::jsonb, error = o.error::jsonb, ended_at = statement_timestamp()
    FROM ours o
    WHERE e.work_item_id = o.item AND e.base_version = o.base AND e.key = o.key
        AND o.state <> 'started' AND e.call_id = o.call AND e.state IN ('started', o.state)
    RETURNING e.call_id, e.attempts
)
SELECT call_id, attempts FROM made UNION ALL SELECT call_id, attempts FROM again
UNION ALL SELECT call_id, attempts FROM ended
"""

LOOK = """
SELECT j.call, w.id IS NOT NULL, e.state, e.call_id, e.attempts, e.input_hash, e.name, e.result::text, e.error::text
FROM (
    SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::uuid[])
        AS j(item, epoch, version, base, key, call) LIMIT %s::int
) j
LEFT JOIN roost_workitem w
    ON w.id = j.item AND w.state = 'running' AND w.epoch = j.epoch AND w.version = j.version
LEFT JOIN roost_journalentry e ON e.work_item_id = j.item AND e.base_version = j.base AND e.key = j.key
"""


def journal(using: str, writes: Sequence[Write]) -> list[Found]:
    """Write what the fences and the entries allow; return the answers in the order of the writes.

    Each part of at most 16 MiB is a transaction of its own, unless the caller has one. Raises Django's database errors.
    """
    if quotas.apply_to(writes):
        return transacted(using, lambda: quotas.within(using, writes, _journal))
    return _journal(using, writes)


def _journal(using: str, writes: Sequence[Write]) -> list[Found]:
    answers: dict[uuid.UUID, Found] = {}
    for part in slices(writes, _size, max(len(writes), 1)):
        answers |= _write(using, part)
    return [answers[write.call] for write in writes]


def _write(using: str, writes: Sequence[Write]) -> dict[uuid.UUID, Found]:
    begins = [write if isinstance(write, Begin) else None for write in writes]
    ends = [write if isinstance(write, End) else None for write in writes]
    params = [
        lock_timeout(using),
        *_places(writes),
        plain([begin.replaces if begin else None for begin in begins]),
        texts([end.state if end else JournalState.STARTED.value for end in ends]),
        texts([begin.name if begin else None for begin in begins]),
        texts([begin.input_hash if begin else None for begin in begins]),
        texts([begin.idempotency_key if begin else None for begin in begins]),
        texts([end.result if end else None for end in ends]),
        texts([end.error if end else None for end in ends]),
        str(len(writes)),
    ]
    answers = {call: Found(answer=Answer.WRITTEN, attempts=attempts) for call, attempts in rows(using, WRITE, params)}
    missing = [write for write in writes if write.call not in answers]
    return answers | _look(using, missing) if missing else answers


def _places(writes: Sequence[Write]) -> list[str]:
    places = [write.place for write in writes]
    return [
        plain([place.item for place in places]),
        plain([place.epoch for place in places]),
        plain([place.version for place in places]),
        plain([place.base_version for place in places]),
        texts([place.key for place in places]),
        plain([write.call for write in writes]),
    ]


def _look(using: str, missing: Sequence[Write]) -> dict[uuid.UUID, Found]:
    """Say of each write that was not made why that is so."""
    writes = {write.call: write for write in missing}
    found = rows(using, LOOK, [*_places(missing), str(len(missing))])
    return {call: _why(writes[call], ours, _entry(*columns)) for call, ours, *columns in found}


def _entry(
    state: str | None, call: uuid.UUID, attempts: int, input_hash: str, name: str, result: str, error: str
) -> Entry | None:
    if state is None:
        return None
    return Entry(
        state=state, call=call, attempts=attempts, input_hash=input_hash, name=name, result=result, error=error
    )


def _why(write: Write, ours: bool, entry: Entry | None) -> Found:
    if not ours:
        return FENCED
    found = judge(write, entry)
    if found.answer is not Answer.WRITTEN:
        return found
    # By its rules it would have been written: the item was locked just then, or it had been written before, by a
    # statement whose answer was lost.
    was = entry is not None and entry.call == write.call
    if isinstance(write, Begin):
        return found if was else BUSY
    return WRITTEN if was and entry is not None and entry.state == write.state else BUSY


def _size(write: Write) -> int:
    return len(write.result or "") + len(write.error or "") if isinstance(write, End) else 0
