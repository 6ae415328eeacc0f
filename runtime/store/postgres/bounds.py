"""Lock the limits that concern a claim and count, in a later statement, what runs under them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from runtime.store.limits import SCOPE, Bound, Gate
from runtime.store.postgres.arrays import plain, texts
from runtime.store.postgres.due import HAS_TURN, MINE, SUSPECT, covers, mine
from runtime.store.postgres.session import Rows, rows
from runtime.store.turns import Lane
from runtime.store.values import ClaimRequest

_TOKENS = """CASE WHEN rate IS NULL THEN NULL WHEN refilled_at IS NULL THEN coalesce(burst, rate) ELSE least(
    coalesce(burst, rate),
    tokens + greatest(0, extract(epoch FROM statement_timestamp() - refilled_at) + {ahead}) * rate / per_seconds
) END::float8"""

_CONCERNED = f"""
WITH lanes AS MATERIALIZED (
    SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS lane({", ".join(Lane._fields)})
), concerned AS (
    SELECT m.* FROM roost_limit m
    WHERE enabled AND (%s::bool OR EXISTS (SELECT FROM lanes WHERE {covers("m", "lanes")}))
)"""

# Values come from the locked rows: what another claimer took since this statement began is gone from them.
_LOCK = f"""
{_CONCERNED}, ours AS (
    SELECT m.id, concurrency, {_TOKENS.format(ahead="0")} AS tokens
    FROM roost_limit m WHERE enabled AND m.id IN (SELECT id FROM concerned)
    ORDER BY m.id
    FOR NO KEY UPDATE {{passing}}
)
SELECT c.id, c.name, c.namespace, c.engine, c.fair_key, c.pool, ours.id IS NOT NULL, ours.concurrency,
    ours.tokens, statement_timestamp()
FROM concerned c LEFT JOIN ours ON ours.id = c.id
ORDER BY c.id
"""

LOCK_WAITING = _LOCK.format(passing="")
LOCK = _LOCK.format(passing="SKIP LOCKED")

LOOK = f"""
{_CONCERNED}
SELECT id, name, namespace, engine, fair_key, pool, true, concurrency, {_TOKENS.format(ahead="%s::float8")},
    statement_timestamp()
FROM concerned ORDER BY id
"""

# Of an array the planner expects few items: told how many leases there may be, it would compile the query first.
RUNNING = f"""
SELECT m.id, count(*)
FROM roost_workitem w, roost_limit m
WHERE w.id = ANY (ARRAY(SELECT work_item_id FROM roost_lease WHERE worker_id IS DISTINCT FROM %s::uuid))
    AND m.id = ANY (%s::bigint[]) AND {covers("m", "w")}
GROUP BY m.id
"""

# One that a limit stops, wherever its lane is, keeps no place under the others.
SUSPECTS = f"""
SELECT {", ".join(Lane._fields)} FROM roost_workitem w
WHERE {SUSPECT} AND {HAS_TURN} AND {MINE} AND NOT EXISTS (
    SELECT FROM roost_limit stopped WHERE enabled AND concurrency = 0 AND {covers("stopped", "w")}
)
LIMIT 100
"""

TAKE_TOKENS = """
UPDATE roost_limit m SET tokens = t.tokens, refilled_at = t.at
FROM unnest(%s::bigint[], %s::float8[], %s::timestamptz[]) AS t(id, tokens, at)
WHERE m.id = t.id AND m.rate IS NOT NULL
"""


def gate(
    using: str, request: ClaimRequest, of: Sequence[Lane] | None, *, suspects: bool = False, wait: bool = False
) -> Gate:
    """Return the enabled limits that cover any of these lanes (None: all limits), with what runs under them.

    With `suspects`, a place is kept for those that this worker might start and that have their turn.

    Their rows are locked until the transaction ends, but for those that another claimer has, unless it is to `wait` for
    them.
    """
    covered = [texts(column) for column in zip(*of, strict=True)] if of else ["{}"] * len(Lane._fields)
    counted = _counted(using, rows(using, LOCK_WAITING if wait else LOCK, [*covered, of is None]))
    return _kept(using, request, counted) if suspects else counted


def look(using: str, request: ClaimRequest) -> Gate:
    """Return all enabled limits as a claim would find them, locking none."""
    counted = _counted(using, _look(using))
    return counted if request.alone else _kept(using, request, counted)


def look_ahead(using: str, seconds: float, *, without: uuid.UUID) -> Gate:
    """Return all enabled limits as a claim for a suspect might find them in so many seconds, locking none.

    As if the worker `without` ran nothing.
    """
    return _counted(using, _look(using, seconds), without)


def _look(using: str, ahead: float = 0.0) -> Rows:
    return rows(using, LOOK, [*["{}"] * len(Lane._fields), True, str(ahead)])


def _kept(using: str, request: ClaimRequest, of: Gate) -> Gate:
    if of.bounds:
        of.keep(Lane._make(row) for row in rows(using, SUSPECTS, mine(request)))
    return of


def _counted(using: str, found: Rows, without: uuid.UUID | None = None) -> Gate:
    bounds = [Bound(*row) for row in found]
    counted = [bound.id for bound in bounds if bound.ours and bound.concurrency is not None]
    left = None if without is None else str(without)
    running: dict[int, int] = dict(rows(using, RUNNING, [left, plain(counted)])) if counted else {}
    for bound in bounds:
        bound.running = running.get(bound.id, 0)
    return Gate(bounds)


def shut(of: Gate) -> list[str]:
    """Return the parameters of `due.OPEN`."""
    closed = of.closed()
    return [texts([getattr(bound, name) for bound in closed]) for name in SCOPE]


def take_tokens(using: str, of: Gate) -> None:
    """Write what is left of each rate, in the transaction that has its rows locked."""
    taken = list(of.taken())
    if taken:
        ids, tokens, moments = zip(*taken, strict=True)
        rows(using, TAKE_TOKENS, [plain(ids), plain(tokens), plain(f'"{at.isoformat()}"' for at in moments)])
