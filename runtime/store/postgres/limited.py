"""Take due items that need resources.

Candidates are read without locks. Then their Resource rows are locked, passing over those that another claimer has,
then the items; only after that, in a later statement, is read who holds what, so that two claimers of one resource
always see each other. An item that does not get all it needs is parked, or left alone if somebody else has a key.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

from runtime import clock
from runtime.store import resources
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.due import LIMITED, MINE, OPEN, PLAIN, SUSPECT, mine, ranks
from runtime.store.postgres.mark import MARK, Taken, marks
from runtime.store.postgres.session import rows
from runtime.store.resources import Candidate, Key
from runtime.store.transactions import transacted
from runtime.store.values import ClaimRequest

LOOKED_AT = 4
"""Candidates looked at for each item wanted: some of them cannot have their resources now."""
REACHES = (1, 8)
"""How many times as far is looked where somebody keeps resources locked and nobody before had all of theirs."""


def _due(name: str, kind: str, open_to: str = "true") -> str:
    return f"""
    SELECT found.* FROM {name} r, LATERAL (
        SELECT id, namespace, resources, limited, priority, run_at FROM roost_workitem w
        WHERE {kind} AND limited = {"false" if kind == PLAIN else "true"} AND priority = r.priority
            AND run_at <= statement_timestamp() AND {MINE} AND {open_to}
        ORDER BY run_at, id
        LIMIT %s::int
    ) found
    LIMIT %s::int"""


IN_FRONT = f"""
WITH RECURSIVE {ranks("plain", PLAIN)}, {ranks("limited", LIMITED)}
SELECT count(*) FILTER (WHERE limited) FROM (
    SELECT limited FROM (({_due("plain", PLAIN)}) UNION ALL ({_due("limited", LIMITED)})) both_kinds
    ORDER BY priority DESC, run_at, id
    LIMIT %s::int
) first
"""

CANDIDATES = f"""
WITH RECURSIVE {ranks("limited", LIMITED)}
SELECT id, namespace, resources::text FROM ({_due("limited", LIMITED)}) found ORDER BY priority DESC, run_at, id
"""

SUSPECTS = f"""
WITH RECURSIVE {ranks("suspect", SUSPECT)}
SELECT id, namespace, resources::text FROM ({_due("suspect", SUSPECT, OPEN)}) found ORDER BY priority DESC, run_at, id
"""

LOCK = """
SELECT found.id FROM (SELECT * FROM unnest(%s::uuid[]) LIMIT %s::int) AS c(id), LATERAL (
    SELECT w.id FROM roost_workitem w
    WHERE w.id = c.id AND state = 'queued' AND NOT (reason IN ('limit', 'resource')) AND limited
        AND run_at <= statement_timestamp() AND (deaths >= 2) = %s::bool
    FOR NO KEY UPDATE SKIP LOCKED
) found
"""

TAKE = f"""
WITH chosen AS MATERIALIZED (SELECT id FROM unnest(%s::uuid[]) AS c(id) LIMIT %s::int), {MARK}
SELECT id, epoch FROM marked
"""


def limited_in_front(using: str, request: ClaimRequest) -> int:
    """Return how many of the most urgent due items, up to the limit asked for, need resources."""
    wanted, limit = mine(request), str(request.limit)
    count: int = rows(using, IN_FRONT, [*wanted, limit, limit, *wanted, limit, limit, limit])[0][0]
    return count


def take_limited(using: str, request: ClaimRequest, limit: int) -> list[Taken]:
    """Mark up to `limit` items that get all their resources, and park those before them that do not."""
    if limit < 1:
        return []
    return _take(using, request, CANDIDATES, mine(request), limit, alone=False)


def take_suspect_with_resources(using: str, request: ClaimRequest, shut: Sequence[str]) -> list[Taken]:
    """Mark one suspect that gets all its resources and that no closed limit (`bounds.shut`) covers."""
    return _take(using, request, SUSPECTS, [*mine(request), *shut], 1, alone=True)


def _take(
    using: str, request: ClaimRequest, look: str, params: Sequence[Any], limit: int, *, alone: bool
) -> list[Taken]:
    """Look for candidates and mark those that get their resources.

    Those whose resources somebody keeps locked stay due, and must not hide others behind them.
    """
    busy: set[Key] = set()
    for reach in REACHES:
        many = limit * LOOKED_AT * reach
        found = [Candidate.of(*row) for row in rows(using, look, [*params, str(many), str(many)])]
        free = [candidate for candidate in found if busy.isdisjoint(candidate.asks)][: limit * LOOKED_AT]
        work = partial(take_candidates, using, request, free, limit, alone=alone, busy=busy)
        taken = transacted(using, work) if free else []
        if taken or not busy or len(found) < many:
            return taken
    return []


def take_candidates(
    using: str,
    request: ClaimRequest,
    candidates: Sequence[Candidate],
    limit: int,
    *,
    alone: bool,
    busy: set[Key] | None = None,
) -> list[Taken]:
    """Mark up to `limit` of these, in this order, that get all their resources; park those that cannot now.

    Within a transaction that has locked nothing but limits. Resources that somebody else has locked are put into
    `busy`.
    """
    keys = {key for candidate in candidates for key in candidate.asks}
    locked = resources.lock(using, keys, skip_locked=True)
    if busy is not None:
        busy |= keys - locked.keys()
    reachable = [candidate for candidate in candidates if candidate.asks.keys() <= locked.keys()]
    ours = _lock_items(using, reachable, alone=alone)
    verdict = resources.judge(using, [candidate for candidate in reachable if candidate.item in ours], locked)
    granted = verdict.granted[:limit]
    # Who comes after the last grant may have been parked for a grant that is not made.
    last = reachable.index(granted[-1]) if len(verdict.granted) > limit else len(reachable)
    parked = [candidate for candidate in verdict.parked if reachable.index(candidate) < last]
    now = clock.now(using)
    if parked:
        resources.park(using, parked, locked, now)
    if not granted:
        return []
    params = [plain([candidate.item for candidate in granted]), str(len(granted)), *marks(request, alone=alone)]
    taken = rows(using, TAKE, params)
    resources.grant(using, granted, locked, dict(taken), now)
    return taken


def _lock_items(using: str, candidates: Sequence[Candidate], *, alone: bool) -> set[uuid.UUID]:
    """Lock those of the candidates that are still due and that nobody else has locked, by id."""
    ordered = plain(sorted(candidate.item for candidate in candidates))
    return {row[0] for row in rows(using, LOCK, [ordered, str(len(candidates)), alone])}
