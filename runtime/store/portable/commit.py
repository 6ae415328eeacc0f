"""Write what steps came to, each outcome fenced alone."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime import clock
from runtime.choices import TERMINAL, EventKind, Reason, State
from runtime.store import waking
from runtime.store.portable.insert import insert
from runtime.store.portable.statements import later, places, rows, stored, write_many
from runtime.store.transactions import transacted
from runtime.store.values import NewEvent, Outcome

POSITIONS = """
SELECT id, epoch, version, event_seq, pause_requested FROM roost_workitem
WHERE id IN ({ids}) AND state = 'running'
"""

SNAPSHOT = """
INSERT INTO roost_snapshot (work_item_id, version, epoch, data, state_schema, label, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""

FIRST_SNAPSHOT = """
INSERT INTO roost_snapshot (work_item_id, version, epoch, data, state_schema, label, created_at)
VALUES (%s, 0, %s, %s, %s, '', %s)
ON CONFLICT (work_item_id, version) DO NOTHING
"""

ITEM = """
UPDATE roost_workitem SET
    state = %s, reason = %s, paused_from = %s, pause_requested = 0, away_since = %s, finished_at = %s,
    run_at = coalesce(%s, run_at), step_label = coalesce(%s, step_label), result = coalesce(%s, result),
    last_error = CASE WHEN %s THEN %s ELSE last_error END, fingerprint = CASE WHEN %s THEN %s ELSE fingerprint END,
    attempt = %s, deaths = CASE WHEN %s THEN 0 ELSE deaths END,
    version = version + %s, steps_total = steps_total + %s, duration_total = duration_total + %s,
    event_seq = %s, row_version = row_version + 1, updated_at = %s
WHERE id = %s
"""

END_LEASE = "DELETE FROM roost_lease WHERE work_item_id = %s AND epoch = %s"

EVENT = """
INSERT INTO roost_event (
    work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, data, duration, created_at
) VALUES (%s, %s, %s, %s, %s, %s, %s, '', %s, %s, %s, %s)
"""

ARTIFACT = """
INSERT INTO roost_artifact (
    id, work_item_id, version, name, kind, content_type, size, sha256, metadata, row_version, created_at
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 1, %s)
"""

PAUSED = NewEvent(kind=EventKind.PAUSED, reason=Reason.OPERATOR)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An outcome that passed its fence, and what becomes of it."""

    outcome: Outcome
    seq: int
    paused: bool

    @property
    def version(self) -> int:
        """The item's version afterwards."""
        return self.outcome.version + self.outcome.advance

    @property
    def state(self) -> str:
        """The item's state afterwards."""
        return State.PAUSED.value if self.paused else str(self.outcome.state)

    @property
    def events(self) -> tuple[NewEvent, ...]:
        """The events to append."""
        return (*self.outcome.events, PAUSED) if self.paused else self.outcome.events


def commit(using: str, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
    """Write the outcomes that are not fenced off; return the state that each of their items is in now.

    One transaction, or the caller's. Raises Django's database errors, and `ValueError` for an outcome that advances
    to nothing, with nothing written.
    """
    if not outcomes:
        return {}
    for outcome in outcomes:
        if outcome.advance and outcome.data is None:
            raise ValueError(
                f"The outcome of item {outcome.item} advances to version {outcome.version + 1} without data."
            )
    return transacted(using, lambda: _write(using, outcomes))


def _write(using: str, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
    accepted = _accepted(using, outcomes)
    ended = [one.outcome.item for one in accepted if one.outcome.limited and one.state != State.RUNNING]
    freeing = waking.prepare(using, ended) if ended else None
    now = clock.now(using)
    _write_items(using, accepted, now)
    _write_history(using, accepted, stored(using, now))
    insert(using, [child for one in accepted for child in one.outcome.children])
    if freeing is not None:
        waking.finish(freeing, ended)
    return {one.outcome.item: one.state for one in accepted}


def _accepted(using: str, outcomes: Sequence[Outcome]) -> list[Accepted]:
    """Return the outcomes whose item still runs under their epoch, at the version that they began from."""
    ids = [outcome.item.hex for outcome in outcomes]
    found = {row[0]: row[1:] for row in rows(using, POSITIONS.format(ids=places(ids)), ids)}
    accepted: list[Accepted] = []
    for outcome in outcomes:
        epoch, version, seq, pause = found.get(outcome.item.hex, (None, None, 0, False))
        if (epoch, version) == (outcome.epoch, outcome.version):
            paused = bool(pause) and outcome.state in (State.RUNNING, State.QUEUED)
            accepted.append(Accepted(outcome, seq, paused))
    return accepted


def _write_items(using: str, accepted: Sequence[Accepted], now: dt.datetime) -> None:
    moment = stored(using, now)
    write_many(using, ITEM, [_item(using, one, now, moment) for one in accepted])
    gone = [(one.outcome.item.hex, one.outcome.epoch) for one in accepted if one.state != State.RUNNING]
    write_many(using, END_LEASE, gone)


def _item(using: str, one: Accepted, now: dt.datetime, moment: str | None) -> tuple[Any, ...]:
    outcome, state = one.outcome, one.state
    away = state in (State.WAITING, State.PAUSED)
    error_known = outcome.advance or outcome.error is not None
    due = stored(using, later(now, outcome.delay)) if one.paused or state == State.QUEUED else None
    return (
        state,
        Reason.OPERATOR.value if one.paused else outcome.reason,
        State.QUEUED.value if state == State.PAUSED else "",
        moment if away else None,
        moment if state in TERMINAL else None,
        due,
        outcome.label if outcome.advance else None,
        outcome.result,
        error_known,
        outcome.error,
        error_known,
        outcome.fingerprint,
        outcome.attempt,
        outcome.advance,
        outcome.advance,
        outcome.advance,
        outcome.duration,
        one.seq + len(one.events),
        moment,
        outcome.item.hex,
    )


def _write_history(using: str, accepted: Sequence[Accepted], moment: str | None) -> None:
    initial: list[Sequence[Any]] = []
    snapshots: list[Sequence[Any]] = []
    events: list[Sequence[Any]] = []
    artifacts: list[Sequence[Any]] = []
    for one in accepted:
        made, key, worker = one.outcome, one.outcome.item.hex, one.outcome.worker.hex
        if made.initial is not None:
            initial.append((key, made.epoch, made.initial, made.state_schema, moment))
        if made.advance:
            snapshots.append((key, one.version, made.epoch, made.data, made.state_schema, made.label, moment))
        for seq, event in enumerate(one.events, start=one.seq + 1):
            place = (key, seq, event.kind, one.version, made.epoch, made.attempt, worker)
            events.append((*place, event.reason, event.data, event.duration, moment))
        for file in made.artifacts:
            made_by = (file.id.hex, key, one.version, file.name, file.kind)
            artifacts.append((*made_by, file.content_type, file.size, file.sha256, file.metadata, moment))
    write_many(using, FIRST_SNAPSHOT, initial)
    write_many(using, SNAPSHOT, snapshots)
    write_many(using, EVENT, events)
    write_many(using, ARTIFACT, artifacts)
