"""Write what steps came to: one statement for a whole batch, each row fenced alone.

Each check uses the row as it is locked, not as the statement first saw it: `locked` waits for the row and looks at
(state, epoch, version) again once it has it, and the UPDATE's expressions read the row version it replaces. What
follows reads only `written`. Rows are locked by id, because the outcomes are sorted and each is looked up by itself.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Protocol

from django.db import OperationalError, connections, transaction

from runtime.choices import State
from runtime.conf import settings as roost
from runtime.store import dropping, following, offloading, triggered, waking
from runtime.store.postgres.acknowledge import acknowledge
from runtime.store.postgres.arrays import MOST_TEXT, plain, slices, texts
from runtime.store.postgres.artifacts import write_artifacts
from runtime.store.postgres.insert import insert
from runtime.store.postgres.session import GUARD, rows, seconds
from runtime.store.transactions import lock_not_available, timeouts, transacted
from runtime.store.values import Held, Outcome

logger = logging.getLogger("roost.store")

PATIENCE_MS = 500
"""How long a commit waits for rows of others, who are to learn of it."""


class _Write(Protocol):
    def __call__(self, using: str, outcomes: Sequence[Outcome], *, apart: bool) -> dict[uuid.UUID, str]: ...


# LIMIT with a parameter makes the planner expect one row, so that a plan cached while the tables were still empty
# looks rows up by key; it would read whole tables until the next ANALYZE otherwise.
WRITE = f"""
WITH o AS MATERIALIZED (
    SELECT o.* FROM {GUARD}, unnest(
        %s::uuid[], %s::uuid[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bool[], %s::text[],
        %s::text[], %s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::int[], %s::float8[], %s::float8[],
        %s::bool[], %s::text[], %s::int[]
    ) AS o(
        item, worker, epoch, version, state, reason, advance, data,
        initial, state_schema, label, result, error, fingerprint, attempt, delay, duration, lingers, used, told
    )
    LIMIT %s::int
), locked AS MATERIALIZED (
    SELECT o.*, w.stop FROM o, LATERAL (
        SELECT id, CASE
            WHEN o.state NOT IN ('running', 'queued', 'waiting') THEN NULL
            WHEN pause_requested THEN 'operator'
            WHEN o.advance AND steps_total + 1 >= pause_at_step THEN 'step_quota'
        END AS stop FROM roost_workitem
        WHERE id = o.item AND state = 'running' AND epoch = o.epoch AND version = o.version
        FOR NO KEY UPDATE
    ) w
), written AS (
    UPDATE roost_workitem w SET
        state = CASE WHEN o.stop IS NOT NULL THEN 'paused' ELSE o.state END,
        reason = coalesce(o.stop, o.reason),
        paused_from = CASE WHEN o.state = 'waiting' AND o.stop IS NOT NULL THEN 'waiting'
            WHEN o.stop IS NOT NULL OR o.state = 'paused' THEN 'queued' ELSE '' END,
        pause_requested = false,
        pause_at_step = CASE WHEN o.advance AND w.steps_total + 1 >= w.pause_at_step THEN NULL ELSE w.pause_at_step END,
        away_since = CASE WHEN o.stop IS NOT NULL OR o.state IN ('waiting', 'paused') THEN statement_timestamp() END,
        run_at = CASE WHEN o.stop IS NOT NULL OR o.state = 'queued'
            THEN statement_timestamp() + {seconds("o.delay")} ELSE w.run_at END,
        finished_at = CASE WHEN o.state IN ('done', 'failed', 'cancelled') THEN statement_timestamp() END,
        step_label = CASE WHEN o.advance THEN o.label ELSE w.step_label END,
        result = coalesce(o.result::jsonb, w.result),
        last_error = CASE WHEN o.error IS NULL AND NOT o.advance THEN w.last_error ELSE o.error::jsonb END,
        fingerprint = CASE WHEN o.error IS NULL AND NOT o.advance THEN w.fingerprint ELSE o.fingerprint END,
        attempt = o.attempt,
        deaths = CASE WHEN o.advance THEN 0 ELSE w.deaths END,
        version = w.version + o.advance::int,
        steps_total = w.steps_total + o.advance::int,
        duration_total = w.duration_total + o.duration,
        tokens_total = w.tokens_total + coalesce((o.used::bigint[])[1], 0),
        cost_total = w.cost_total + coalesce((o.used::bigint[])[2], 0),
        event_seq = w.event_seq + o.told + (o.stop IS NOT NULL)::int,
        row_version = w.row_version + 1,
        updated_at = statement_timestamp()
    FROM locked o
    WHERE w.id = o.item
    RETURNING w.id, w.state, w.epoch, w.version, w.event_seq, w.attempt,
        o.worker, o.told, o.stop, o.advance, o.data, o.initial, o.state_schema, o.label,
        w.limited AND w.state <> 'running' AND (o.lingers OR NOT %s::bool) AS fenced
), kept AS (
    INSERT INTO roost_snapshot (work_item_id, version, epoch, data, state_schema, label, created_at)
    SELECT id, version, epoch, data::jsonb, state_schema, label, statement_timestamp() FROM written WHERE advance
), begun AS (
    INSERT INTO roost_snapshot (work_item_id, version, epoch, data, state_schema, label, created_at)
    SELECT id, 0, epoch, initial::jsonb, state_schema, '', statement_timestamp() FROM written WHERE initial IS NOT NULL
    ON CONFLICT (work_item_id, version) DO NOTHING
), ended AS (
    DELETE FROM roost_lease l USING written o
    WHERE l.work_item_id = o.id AND l.epoch = o.epoch AND o.state <> 'running' AND NOT o.fenced
), fenced AS (
    UPDATE roost_lease l SET revoked_at = statement_timestamp(), row_version = l.row_version + 1 FROM written o
    WHERE l.work_item_id = o.id AND l.epoch = o.epoch AND o.fenced
), told AS (
    INSERT INTO roost_event (
        work_item_id, seq, kind, version, epoch, attempt, worker, actor, reason, data, duration, created_at
    )
    SELECT o.id, o.event_seq - o.told - (o.stop IS NOT NULL)::int + e.ordinal, e.kind, o.version, o.epoch, o.attempt,
        o.worker, '', e.reason, e.data::jsonb, e.duration, statement_timestamp()
    FROM written o JOIN unnest(%s::uuid[], %s::int[], %s::text[], %s::text[], %s::text[], %s::float8[])
        AS e(item, ordinal, kind, reason, data, duration) ON e.item = o.id
    UNION ALL
    SELECT id, event_seq, 'paused', version, epoch, attempt, worker, '', stop, NULL, NULL, statement_timestamp()
    FROM written WHERE stop IS NOT NULL
)
SELECT id, state, fenced FROM written
"""

BOUND = "SELECT set_config('lock_timeout', %s::text, true)"

COLUMNS = {
    "item": plain,
    "worker": plain,
    "epoch": plain,
    "version": plain,
    "state": texts,
    "reason": texts,
    "advance": plain,
    "data": texts,
    "initial": texts,
    "state_schema": plain,
    "label": texts,
    "result": texts,
    "error": texts,
    "fingerprint": texts,
    "attempt": plain,
    "delay": plain,
    "duration": plain,
    "lingers": plain,
    "used": texts,
}
"""Fields of an outcome in the order of WRITE's arrays, and what writes each array."""


def commit(using: str, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
    """Write the outcomes that are not fenced off; return the state that each of their items is in now.

    One transaction, or the caller's. Raises Django's database errors, and `ValueError` for an outcome that advances
    to nothing, with nothing written.
    """
    for outcome in outcomes:
        if outcome.advance and outcome.data is None:
            raise ValueError(
                f"The outcome of item {outcome.item} advances to version {outcome.version + 1} without data."
            )
    if not outcomes:
        return {}
    if any(following.concerns(outcome) for outcome in outcomes):
        return _with_others(using, outcomes, _commit_following)
    if any(outcome.frees for outcome in outcomes):
        return _with_others(using, outcomes, _commit_freeing)
    large = sum(map(_size, outcomes)) > MOST_TEXT
    more = any(outcome.artifacts or outcome.children or outcome.drops or outcome.moved for outcome in outcomes)
    if large or more or _may_trigger(using, outcomes):
        return transacted(using, lambda: _commit_all(using, outcomes))
    return _write(using, outcomes)


def _with_others(using: str, outcomes: Sequence[Outcome], write: _Write) -> dict[uuid.UUID, str]:
    """Write outcomes together with what follows for others: claims are freed for their waiters, parents are told.

    Whoever keeps rows of these others locked, as a cancel in a long transaction of a product's does, must not cost what
    the steps came to. The outcomes are written apart then, in as much time as a commit has, and the rest comes after
    it, at the latest by the sweep.
    A transaction that this joins is an atomic step's, whose last statements these are: they bound their waits
    themselves.
    """
    joins = connections[using].in_atomic_block

    def within(lock_ms: int, *, apart: bool) -> dict[uuid.UUID, str]:
        if joins:
            rows(using, BOUND, [f"{lock_ms}ms"])
        return write(using, outcomes, apart=apart)

    most = roost.LOCK_TIMEOUT_MS
    patience = min(PATIENCE_MS, most)
    try:
        return transacted(using, lambda: within(patience, apart=False), lock_ms=patience)
    except OperationalError as error:
        if not lock_not_available(error):
            raise
    return transacted(using, lambda: within(most, apart=True))


def _commit_freeing(using: str, outcomes: Sequence[Outcome], *, apart: bool) -> dict[uuid.UUID, str]:
    """Write outcomes of which some free claims. Resource rows come before items in the order of locks.

    Written `apart`, the items keep their claims, and leases that are revoked, until this worker has let go of them.
    """
    if apart:
        return _commit_all(using, outcomes)
    freeing = waking.prepare(using, [outcome.item for outcome in outcomes])
    states = _commit_all(using, outcomes, freeing=True)
    waking.finish(freeing, _let_go_of(outcomes, states))
    return states


def _let_go_of(outcomes: Sequence[Outcome], states: Mapping[uuid.UUID, str]) -> list[uuid.UUID]:
    """Return the items that nobody works on any more."""
    lingering = {outcome.item for outcome in outcomes if outcome.lingers}
    return [item for item, state in states.items() if state != State.RUNNING and item not in lingering]


def _commit_following(using: str, outcomes: Sequence[Outcome], *, apart: bool) -> dict[uuid.UUID, str]:
    """Write outcomes of which some ask, have asked, or end a child. Written `apart`, parents are told after it."""
    locked = following.lock(using, outcomes, apart=apart)
    freeing = bool(locked.freeing.items)
    states = _commit_all(using, outcomes, freeing=freeing)
    if freeing:
        waking.finish(locked.freeing, _let_go_of(outcomes, states))
    return states | following.follow(locked, states)


def _commit_all(using: str, outcomes: Sequence[Outcome], *, freeing: bool = False) -> dict[uuid.UUID, str]:
    states = _write(using, outcomes, freeing=freeing)
    accepted = [outcome for outcome in outcomes if outcome.item in states]
    write_artifacts(using, accepted)
    offloading.remember(using, accepted)
    dropping.drop(using, accepted)
    insert(using, [child for outcome in accepted for child in outcome.children])
    triggered.follow_ids(using, [item for item, state in states.items() if state in triggered.ENDED])
    return states


def _may_trigger(using: str, outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.state in triggered.ENDED for outcome in outcomes) and triggered.active(using)


def _write(using: str, outcomes: Sequence[Outcome], *, freeing: bool = False) -> dict[uuid.UUID, str]:
    """Write items, snapshots, leases and events, a huge batch in parts; return the accepted items' states."""
    ordered = sorted(outcomes, key=attrgetter("item"))
    states: dict[uuid.UUID, str] = {}
    for part in slices(ordered, _size, len(ordered)):
        states |= _write_part(using, part, freeing=freeing)
    return states


def _write_part(using: str, ordered: Sequence[Outcome], *, freeing: bool) -> dict[uuid.UUID, str]:
    """Write outcomes, sorted by item, in one statement.

    An item with resources that does not run on keeps a revoked lease unless this transaction is `freeing`: its Resource
    rows are not locked then, and its claims go as those of any fenced item do.
    """
    events = [
        (outcome.item, number, event) for outcome in ordered for number, event in enumerate(outcome.events, start=1)
    ]
    params = [
        timeouts()[0],
        *(literal([getattr(outcome, name) for outcome in ordered]) for name, literal in COLUMNS.items()),
        plain([len(outcome.events) for outcome in ordered]),
        str(len(ordered)),
        freeing,
        plain([item for item, _, _ in events]),
        plain([number for _, number, _ in events]),
        texts([event.kind for _, _, event in events]),
        texts([event.reason for _, _, event in events]),
        texts([event.data for _, _, event in events]),
        plain([event.duration for _, _, event in events]),
    ]
    written = rows(using, WRITE, params)
    fenced = {item for item, _, is_fenced in written if is_fenced}
    for outcome in ordered if fenced else ():
        if outcome.item in fenced and not outcome.lingers:
            held = [Held(outcome.item, outcome.epoch)]
            transaction.on_commit(partial(_let_go, using, outcome.worker, held), using=using, robust=True)
    return {item: state for item, state, _ in written}


def _let_go(using: str, worker: uuid.UUID, held: Sequence[Held]) -> None:
    try:
        acknowledge(using, worker, held)
    except OperationalError as error:
        if not lock_not_available(error):
            raise
        logger.info("somebody keeps the claims of item %s locked; the sweep frees them", held[0].item)


def _size(outcome: Outcome) -> int:
    return len(outcome.data or "") + len(outcome.initial or "") + len(outcome.result or "")
