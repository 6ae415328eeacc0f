"""Write what steps came to, each outcome fenced alone."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runtime import clock
from runtime.choices import TERMINAL, EventKind, Reason, State
from runtime.store import dropping, following, offloading, triggered, waking
from runtime.store.portable.insert import insert
from runtime.store.portable.statements import later, places, rows, stored, write_many
from runtime.store.transactions import transacted
from runtime.store.values import NewEvent, Outcome

POSITIONS = """
SELECT id, epoch, version, event_seq, pause_requested, steps_total + 1 >= pause_at_step FROM roost_workitem
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
    state = %s, reason = %s, paused_from = %s, pause_requested = 0,
    pause_at_step = CASE WHEN %s AND steps_total + 1 >= pause_at_step THEN NULL ELSE pause_at_step END,
    away_since = %s, finished_at = %s, run_at = coalesce(%s, run_at),
    step_label = coalesce(%s, step_label), result = coalesce(%s, result),
    last_error = CASE WHEN %s THEN %s ELSE last_error END, fingerprint = CASE WHEN %s THEN %s ELSE fingerprint END,
    attempt = %s, deaths = CASE WHEN %s THEN 0 ELSE deaths END,
    version = version + %s, steps_total = steps_total + %s, duration_total = duration_total + %s,
    tokens_total = tokens_total + %s, cost_total = cost_total + %s,
    event_seq = %s, row_version = row_version + 1, updated_at = %s
WHERE id = %s
"""

END_LEASE = "DELETE FROM roost_lease WHERE work_item_id = %s AND epoch = %s"

REVOKE_LEASE = """
UPDATE roost_lease SET revoked_at = %s, row_version = row_version + 1 WHERE work_item_id = %s AND epoch = %s
"""

EVENT = """
INSERT INTO roost_event (
    work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, data, duration, created_at
) VALUES (%s, %s, %s, %s, %s, %s, %s, '', %s, %s, %s, %s)
"""

ARTIFACT = """
INSERT INTO roost_artifact (
    id, work_item_id, version, name, kind, content_type, size, sha256, metadata, row_version, created_at
) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, 1, %s)
ON CONFLICT (work_item_id, version, name) DO UPDATE SET
    kind = excluded.kind, content_type = excluded.content_type, size = excluded.size, sha256 = excluded.sha256,
    metadata = excluded.metadata, row_version = roost_artifact.row_version + 1
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """An outcome that passed its fence, and what becomes of it: `stop` is the reason for which it is paused."""

    outcome: Outcome
    seq: int
    stop: str

    @property
    def version(self) -> int:
        """The item's version afterwards."""
        return self.outcome.version + self.outcome.advance

    @property
    def version_made(self) -> int:
        """The version whose artifacts these are: a step that asks makes them again when it runs again."""
        return self.outcome.version + (self.outcome.advance or bool(self.outcome.waits))

    @property
    def state(self) -> str:
        """The item's state afterwards."""
        return State.PAUSED.value if self.stop else str(self.outcome.state)

    @property
    def paused_from(self) -> str:
        """Where resuming leads, of a paused item."""
        if self.state != State.PAUSED:
            return ""
        return State.WAITING.value if self.outcome.state == State.WAITING else State.QUEUED.value

    @property
    def events(self) -> tuple[NewEvent, ...]:
        """The events to append."""
        if not self.stop:
            return self.outcome.events
        return (*self.outcome.events, NewEvent(kind=EventKind.PAUSED, reason=self.stop))


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
    special = any(following.concerns(one.outcome) for one in accepted)
    locked = following.lock(using, [one.outcome for one in accepted]) if special else None
    ended = [
        one.outcome.item
        for one in accepted
        if one.outcome.limited and one.state != State.RUNNING and not one.outcome.lingers
    ]
    freeing = waking.prepare(using, ended) if ended else None
    now = clock.now(using)
    _write_items(using, accepted, now)
    _write_history(using, accepted, stored(using, now))
    offloading.remember(using, [one.outcome for one in accepted])
    dropping.drop(using, [one.outcome for one in accepted])
    insert(using, [child for one in accepted for child in one.outcome.children])
    if freeing is not None:
        waking.finish(freeing, ended)
    triggered.follow_ids(using, [one.outcome.item for one in accepted if one.state in triggered.ENDED])
    states = {one.outcome.item: one.state for one in accepted}
    return states if locked is None else states | following.follow(locked, states)


def _accepted(using: str, outcomes: Sequence[Outcome]) -> list[Accepted]:
    """Return the outcomes whose item still runs under their epoch, at the version that they began from."""
    ids = [outcome.item.hex for outcome in outcomes]
    found = {row[0]: row[1:] for row in rows(using, POSITIONS.format(ids=places(ids)), ids)}
    accepted: list[Accepted] = []
    for outcome in outcomes:
        epoch, version, seq, pause, quota = found.get(outcome.item.hex, (None, None, 0, False, False))
        if (epoch, version) == (outcome.epoch, outcome.version):
            stop = _stop(outcome, requested=bool(pause), used_up=bool(quota))
            accepted.append(Accepted(outcome, seq, stop))
    return accepted


def _stop(outcome: Outcome, *, requested: bool, used_up: bool) -> str:
    if outcome.state not in (State.RUNNING, State.QUEUED, State.WAITING):
        return ""
    if requested:
        return Reason.OPERATOR.value
    return Reason.STEP_QUOTA.value if used_up and outcome.advance else ""


def _write_items(using: str, accepted: Sequence[Accepted], now: dt.datetime) -> None:
    moment = stored(using, now)
    write_many(using, ITEM, [_item(using, one, now, moment) for one in accepted])
    gone = [one.outcome for one in accepted if one.state != State.RUNNING]
    kept = {outcome.item for outcome in gone if outcome.limited and outcome.lingers}
    write_many(using, REVOKE_LEASE, [(moment, one.item.hex, one.epoch) for one in gone if one.item in kept])
    write_many(using, END_LEASE, [(one.item.hex, one.epoch) for one in gone if one.item not in kept])


def _item(using: str, one: Accepted, now: dt.datetime, moment: str | None) -> tuple[Any, ...]:
    outcome, state = one.outcome, one.state
    away = state in (State.WAITING, State.PAUSED)
    error_known = outcome.advance or outcome.error is not None
    due = stored(using, later(now, outcome.delay)) if one.stop or state == State.QUEUED else None
    return (
        state,
        one.stop or outcome.reason,
        one.paused_from,
        outcome.advance,
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
        outcome.tokens,
        outcome.cost,
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
            made_by = (file.id.hex, key, one.version_made, file.name, file.kind)
            artifacts.append((*made_by, file.content_type, file.size, file.sha256, file.metadata, moment))
    write_many(using, FIRST_SNAPSHOT, initial)
    write_many(using, SNAPSHOT, snapshots)
    write_many(using, EVENT, events)
    write_many(using, ARTIFACT, artifacts)
