"""Write the begins and ends of recorded calls, each fenced alone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime import clock
from runtime.journal.entries import FENCED, Answer, Begin, Entry, Found, Place, Write, judge
from runtime.store import quotas
from runtime.store.portable.statements import rows, stored, write_many
from runtime.store.transactions import transacted

OURS = "SELECT 1 FROM roost_workitem WHERE id = %s AND state = 'running' AND epoch = %s AND version = %s"

ENTRY = """
SELECT state, call_id, attempts, input_hash, name, result, error FROM roost_journalentry
WHERE work_item_id = %s AND base_version = %s AND key = %s
"""

MAKE = """
INSERT INTO roost_journalentry (
    work_item_id, base_version, key, name, input_hash, idempotency_key, state, attempts, epoch, call_id, started_at
) VALUES (%s, %s, %s, %s, %s, %s, 'started', 1, %s, %s, %s)
"""

AGAIN = """
UPDATE roost_journalentry SET
    state = 'started', attempts = %s, epoch = %s, call_id = %s, started_at = %s, ended_at = NULL
WHERE work_item_id = %s AND base_version = %s AND key = %s
"""

END = """
UPDATE roost_journalentry SET state = %s, result = %s, error = %s, ended_at = %s
WHERE work_item_id = %s AND base_version = %s AND key = %s
"""


def journal(using: str, writes: Sequence[Write]) -> list[Found]:
    """Write what the fences and the entries allow; return the answers in the order of the writes. One transaction."""
    if not writes:
        return []
    return transacted(using, lambda: quotas.within(using, writes, _journal))


def _journal(using: str, writes: Sequence[Write]) -> list[Found]:
    moment = stored(using, clock.now(using))
    return [_write(using, write, moment) for write in writes]


def _write(using: str, write: Write, moment: str | None) -> Found:
    place = write.place
    if not rows(using, OURS, [place.item.hex, place.epoch, place.version]):
        return FENCED
    entry = _entry(using, place)
    found = judge(write, entry)
    if found.answer is Answer.WRITTEN:
        _put(using, write, entry, found, moment)
    return found


def _entry(using: str, place: Place) -> Entry | None:
    for state, call, attempts, input_hash, name, result, error in rows(using, ENTRY, _where(place)):
        told = {"input_hash": input_hash, "name": name, "result": result, "error": error}
        return Entry(state=state, call=uuid.UUID(call), attempts=attempts, **told)
    return None


def _where(place: Place) -> list[str | int]:
    return [place.item.hex, place.base_version, place.key]


def _put(using: str, write: Write, entry: Entry | None, found: Found, moment: str | None) -> None:
    place = write.place
    where = _where(place)
    if not isinstance(write, Begin):
        write_many(using, END, [(write.state, write.result, write.error, moment, *where)])
    elif entry is None:
        told = (write.name, write.input_hash, write.idempotency_key, place.epoch, write.call.hex, moment)
        write_many(using, MAKE, [(*where, *told)])
    elif entry.call != write.call:
        write_many(using, AGAIN, [(found.attempts, place.epoch, write.call.hex, moment, *where)])
