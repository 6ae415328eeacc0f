"""Choose due items where limits or fairness keys have a say: lane by lane, each found by one look into the index.

Within the claim's immediate transaction: nobody else claims meanwhile, so every limit's row is ours.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice

from runtime import clock
from runtime.models import Limit
from runtime.store.limits import SCOPE, SOON_SECONDS, Bound, Gate, admit, has_turn
from runtime.store.portable.due import (
    ABOVE_ALL,
    DUE_COLUMNS,
    LIMITED,
    PLAIN,
    RANKS,
    SUSPECT,
    Due,
    highest_priority,
    serves,
)
from runtime.store.portable.statements import later, rows, stored, told
from runtime.store.resources import Candidate, Foresight
from runtime.store.turns import MOST_LANES, Head, Lane, Turns, in_turn
from runtime.store.values import Claimed, ClaimRequest, Forecast

ANY = f"""
WITH {RANKS.format(lane=PLAIN)}
SELECT EXISTS (SELECT 1 FROM roost_limit WHERE enabled), EXISTS (
    SELECT 1 FROM ranks
    WHERE EXISTS (SELECT 1 FROM roost_workitem WHERE {PLAIN} AND priority = rank AND fair_key > '')
)
"""

_LANE = "fair_key, engine, namespace, pool"
FIRST = f"""
SELECT {_LANE} FROM roost_workitem WHERE {PLAIN} AND priority = %s AND fair_key {{after}} %s ORDER BY {_LANE} LIMIT 1
"""
NEXT = f"""
SELECT {_LANE} FROM roost_workitem WHERE {PLAIN} AND priority = %s AND ({_LANE}) > (%s, %s, %s, %s)
ORDER BY {_LANE} LIMIT 1
"""
HEADS = f"""
SELECT {DUE_COLUMNS} FROM roost_workitem
WHERE {PLAIN} AND priority = %s AND fair_key = %s AND engine = %s AND namespace = %s AND pool = %s AND run_at <= %s
ORDER BY run_at, id LIMIT %s
"""
OTHERS = f"""
SELECT {DUE_COLUMNS} FROM roost_workitem
WHERE {{lane}} AND priority = %s AND run_at <= %s {{mine}} {{open}}
ORDER BY run_at, id LIMIT %s
"""
SUSPECT_DUE = f"""
SELECT priority FROM roost_workitem WHERE {SUSPECT} AND run_at <= %s {{mine}} {{open}} ORDER BY priority DESC LIMIT 1
"""
SUSPECTS = f"""
SELECT {_LANE}, run_at FROM roost_workitem WHERE {SUSPECT} AND NOT limited AND run_at <= %s {{mine}} LIMIT 100
"""
RUNNING = """
SELECT w.fair_key, w.engine, w.namespace, w.pool, count(*)
FROM roost_lease l JOIN roost_workitem w ON w.id = l.work_item_id WHERE l.worker_id IS NOT %s GROUP BY 1, 2, 3, 4
"""
_COVERED = "(" + " AND ".join(f"%s IN ('', {name})" for name in SCOPE) + ")"


class Rules:
    """What limits and fairness keys allow one claim."""

    def __init__(self, using: str, request: ClaimRequest, turns: Turns, now: dt.datetime) -> None:
        self.using = using
        self.request = request
        self.turns = turns
        self.now = now
        self.gate = _gate(using, now)
        if self.gate.bounds and not request.alone:
            self.gate.keep(_suspects(using, request, now))

    @classmethod
    def apply_to(cls, using: str, request: ClaimRequest, turns: Turns, now: dt.datetime) -> Rules | None:
        """Return the rules for a claim, None where nothing is limited and no due item has a fairness key."""
        [(limits, keyed)] = rows(using, ANY, [ABOVE_ALL])
        return cls(using, request, turns, now) if limits or keyed else None

    def choose(self, priority: int, room: int, *, passed: Collection[str] = ()) -> list[Due]:
        """Return which items of that priority to take, at most `room` and none of `passed`; count them as started."""
        last = self.turns.last(priority)
        found = [] if self.request.alone else self._lanes(priority, last)
        due = {one.id: one for one in self._due(priority, found, room) if one.id not in passed}
        chosen = admit(in_turn(map(_head, due.values()), last), self.gate, room)
        if chosen:
            self.turns.served(priority, chosen[-1].lane.fair_key)
        elif len(found) == MOST_LANES:
            self.turns.served(priority, found[-1].fair_key)
        return [due[head.item] for head in chosen]

    def started(self, found: Sequence[Due], granted: Sequence[Due]) -> None:
        """Take back what was counted for those of the chosen that do not run after all."""
        running = {due.id for due in granted}
        for due in found:
            if due.id not in running:
                self.gate.start(_lane(due), -1)

    def take_tokens(self) -> None:
        """Write what is left of each rate."""
        for pk, tokens, at in self.gate.taken():
            Limit.objects.using(self.using).filter(pk=pk).update(tokens=tokens, refilled_at=at)

    def told(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        """Return the items with what the limits say about their next steps."""
        return [one._replace(rated=self.gate.rated(one.lane)) for one in claimed]

    def _due(self, priority: int, found: Sequence[Lane], room: int) -> Iterator[Due]:
        """Yield the items among which the choice is made."""
        now = stored(self.using, self.now)
        ready = [lane for lane in found if self.gate.open(lane)]
        self.turns.seen(priority, len({lane.fair_key for lane in ready}))
        each = self.turns.heads(priority, room)
        for lane in ready:
            yield from map(Due._make, rows(self.using, HEADS, [priority, *lane, now, each]))
        mine, params = serves(self.request)
        outside, names = _outside(self.gate)
        query = OTHERS.format(lane=SUSPECT if self.request.alone else LIMITED, mine=mine, open=outside)
        yield from map(Due._make, rows(self.using, query, [priority, now, *params, *names, each]))

    def _lanes(self, priority: int, last: str | None) -> list[Lane]:
        """Return the lanes of that priority that this worker serves, at most MOST_LANES, those after `last` first."""
        found = list(islice(self._walk(priority, ">=", ""), MOST_LANES))
        if len(found) == MOST_LANES and last is not None:
            found = list(dict.fromkeys(chain(islice(self._walk(priority, ">", last), MOST_LANES), found)))
        return found[:MOST_LANES]

    def _walk(self, priority: int, after: str, key: str) -> Iterator[Lane]:
        found = rows(self.using, FIRST.format(after=after), [priority, key])
        while found:
            lane = Lane._make(found[0])
            if self._serves(lane):
                yield lane
            found = rows(self.using, NEXT, [priority, *lane])

    def _serves(self, lane: Lane) -> bool:
        engines, pools = self.request.engines, self.request.pools
        return (engines is None or lane.engine in engines) and (not pools or lane.pool in pools)


def suspect_due(using: str, request: ClaimRequest) -> int | None:
    """Return the highest priority among due suspects that this worker could have were it empty, None without any."""
    now = clock.now(using)
    mine, params = serves(request)
    outside, names = _outside(_gate(using, later(now, SOON_SECONDS), without=request.worker))
    query = SUSPECT_DUE.format(mine=mine, open=outside)
    found = rows(using, query, [stored(using, now), *params, *names])
    return int(found[0][0]) if found else None


def forecast(using: str, request: ClaimRequest, turns: Turns) -> Forecast:
    """Say what a claim would take now, as far as limits and turns decide it. Changes nothing."""
    rules = Rules.apply_to(using, request, turns.copy(), clock.now(using))
    if rules is None:
        return Forecast(ruled=False)
    taken: list[Due] = []
    passed: set[str] = set()
    resources = Foresight(using)
    rank = highest_priority(using, request)
    while rank is not None and len(taken) < request.limit:
        found = rules.choose(rank, request.limit - len(taken), passed=passed)
        candidates = [Candidate.of(uuid.UUID(due.id), due.namespace, due.resources) for due in found if due.limited]
        had = resources.granted(candidates)
        granted = [due for due in found if not due.limited or uuid.UUID(due.id) in had]
        rules.started(found, granted)
        taken += granted
        passed |= {due.id for due in found}
        if len(granted) == len(found):
            rank = highest_priority(using, request, below=rank)
    return Forecast(ruled=True, items=tuple(uuid.UUID(due.id) for due in taken), limits=tuple(rules.gate.bounds))


def _lane(due: Due) -> Lane:
    return Lane(due.fair_key, due.engine, due.namespace, due.pool)


def _head(due: Due) -> Head:
    return Head(due.id, _lane(due), due.run_at)


def _outside(gate: Gate) -> tuple[str, list[str]]:
    """Return the condition, with its parameters, that no closed limit covers an item."""
    closed = gate.closed()
    return "".join(f" AND NOT {_COVERED}" for _ in closed), [getattr(one, name) for one in closed for name in SCOPE]


def _gate(using: str, now: dt.datetime, *, without: uuid.UUID | None = None) -> Gate:
    """Return the enabled limits with what runs under them, not counting what the worker `without` runs."""
    bounds = [_bound(limit, now) for limit in Limit.objects.using(using).filter(enabled=True).order_by("pk")]
    if any(bound.concurrency is not None for bound in bounds):
        for *lane, count in rows(using, RUNNING, [None if without is None else without.hex]):
            for bound in bounds:
                bound.running += count * bound.covers(Lane._make(lane))
    return Gate(bounds)


def _suspects(using: str, request: ClaimRequest, now: dt.datetime) -> Iterator[Lane]:
    """Yield the lanes of suspects for this worker that have their turn."""
    mine, params = serves(request)
    for *lane, run_at in rows(using, SUSPECTS.format(mine=mine), [stored(using, now), *params]):
        due_at = told(using, run_at)
        if due_at is not None and has_turn((now - due_at).total_seconds()):
            yield Lane._make(lane)


def _bound(limit: Limit, now: dt.datetime) -> Bound:
    tokens = None
    if limit.rate is not None:
        most = float(limit.burst or limit.rate)
        since = now if limit.refilled_at is None else limit.refilled_at
        grown = max(0.0, (now - since).total_seconds()) * limit.rate / limit.per_seconds
        tokens = most if limit.refilled_at is None else min(most, limit.tokens + grown)
    scope = (limit.namespace, limit.engine, limit.fair_key, limit.pool)
    return Bound(limit.pk, limit.name, *scope, True, limit.concurrency, tokens, now)
