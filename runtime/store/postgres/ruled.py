"""Take due items where limits or fairness keys have a say: priority by priority, lane by lane.

Rows that another claimer has, of limits, resources or items, are passed over; only limits are waited for first, a few
milliseconds. A limit's row is locked before its running items are counted, by a later statement, so that of two
claimers the second sees what the first has started, or leaves the limit alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from django.db import OperationalError, connections

from runtime.store.limits import SOON_SECONDS, Bound, Gate, admit
from runtime.store.postgres import bounds, lanes
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.due import MINE, OPEN, PLAIN, SUSPECT, mine
from runtime.store.postgres.limited import LOOKED_AT, REACHES, take_candidates, take_suspect_with_resources
from runtime.store.postgres.mark import MARK, Taken, marks
from runtime.store.postgres.roomy import PATIENCE_MS
from runtime.store.postgres.session import GUARD, lock_timeout, rows, rows_in_order
from runtime.store.resources import Candidate, Foresight, Key
from runtime.store.transactions import lock_not_available, transacted
from runtime.store.turns import HEADS_SPARE, MOST_LANES, Head, Lane, Turns, in_turn
from runtime.store.values import Claimed, ClaimRequest, Forecast

TAKE = f"""
WITH chosen AS MATERIALIZED (
    SELECT found.id FROM {GUARD}, unnest(%s::uuid[]) AS c(id), LATERAL (
        SELECT w.id FROM roost_workitem w
        WHERE w.id = c.id AND {PLAIN} AND run_at <= statement_timestamp()
        FOR NO KEY UPDATE SKIP LOCKED
    ) found
    LIMIT %s::int
), {MARK}
SELECT id, epoch FROM marked
"""

SUSPECTED = f"""
WITH chosen AS MATERIALIZED (
    SELECT found.id FROM {GUARD}, LATERAL (
        SELECT w.id FROM roost_workitem w
        WHERE {SUSPECT} AND NOT limited AND run_at <= statement_timestamp() AND {MINE} AND {OPEN}
        ORDER BY priority DESC, run_at, id
        LIMIT 1
        FOR NO KEY UPDATE SKIP LOCKED
    ) found
), {MARK}
SELECT id, epoch FROM marked
"""

SUSPECT_DUE = f"""
SELECT w.priority FROM roost_workitem w
WHERE {SUSPECT} AND run_at <= statement_timestamp() AND {MINE} AND {OPEN}
ORDER BY priority DESC
LIMIT 1
"""

LANE = "SELECT fair_key, engine, namespace, pool FROM roost_workitem WHERE id = %s::uuid"
ANY_LIMIT = "SELECT EXISTS (SELECT FROM roost_limit WHERE enabled)"


class Level(NamedTuple):
    """A priority of queued items, whether some need resources, and what has a say at all: limits, keys, suspects."""

    priority: int
    needing: bool
    limits: bool
    keyed: bool
    suspects: bool


class Ruled:
    """One claim under limits and fairness keys.

    `limits` says whether any limit is enabled, `suspects` whether some have their turn, so that places may be kept;
    `busy` are the resources that somebody else was found to have locked.
    """

    def __init__(self, using: str, request: ClaimRequest, turns: Turns) -> None:
        self.using = using
        self.request = request
        self.turns = turns
        self.limits = False
        self.suspects = False
        self.wait = False
        self.rates: list[Bound] = []
        self.busy: set[Key] = set()

    def take(self) -> list[Taken]:
        """Mark due items, up to the number asked for. One transaction where limits or resources are concerned.

        Marks nothing, and notes that in `turns.ruled`, where neither limits nor keys have a say any more.
        """
        levels = [Level(*row) for row in rows_in_order(self.using, lanes.PRIORITIES)]
        self.limits = any(level.limits for level in levels)
        self.suspects = any(level.suspects for level in levels)
        self.turns.ruled = not levels or self.limits or any(level.keyed for level in levels)
        if not self.turns.ruled:
            return []
        if self.limits:
            return self._take_waiting(levels)
        if any(level.needing for level in levels):
            return transacted(self.using, lambda: self._take(levels))
        return self._take(levels)

    def take_suspect(self) -> list[Taken]:
        """Mark one item that may have killed its workers, for a worker that runs nothing else."""
        self.limits = bool(rows(self.using, ANY_LIMIT)[0][0])
        return transacted(self.using, self._take_suspect) if self.limits else self._take_suspect()

    def told(self, claimed: Sequence[Claimed]) -> list[Claimed]:
        """Return the items with what the limits say about their next steps."""
        if not self.rates:
            return list(claimed)
        rates = Gate(self.rates)
        return [one._replace(rated=rates.rated(one.lane)) for one in claimed]

    def _take_waiting(self, levels: Sequence[Level]) -> list[Taken]:
        """Wait a little for limits that another claimer has, and leave them to whoever has them longer."""
        self.wait = not connections[self.using].in_atomic_block
        if self.wait:
            try:
                return transacted(self.using, lambda: self._take(levels), lock_ms=PATIENCE_MS)
            except OperationalError as error:
                if not lock_not_available(error):
                    raise
                self.wait = False
        return transacted(self.using, lambda: self._take(levels))

    def _take(self, levels: Sequence[Level]) -> list[Taken]:
        self.rates, self.busy = [], set()
        taken: list[Taken] = []
        for level in levels:
            room = self.request.limit - len(taken)
            if room > 0:
                taken += self._take_some(level, room)
        return taken

    def _take_some(self, level: Level, room: int) -> list[Taken]:
        """Mark up to `room` items of one priority."""
        last = self.turns.last(level.priority)
        # Claimers under limits take turns at the limits' rows, and seldom meet at items.
        each = self.turns.heads(level.priority, room, spare=1 if self.limits else HEADS_SPARE)
        found = lanes.look(self.using, self.request, level.priority, last, each)
        gate = self._gate(None if level.needing else list(found))
        self.turns.seen(level.priority, _open_keys(found, gate))
        order = in_turn(_heads(self.using, self.request, level, found, gate, each), last)
        taken, key = self._mark(order, gate, room, self._behind(level, order, gate, each))
        if self.limits:
            bounds.take_tokens(self.using, gate)
        if key is not None:
            self.turns.served(level.priority, key)
        elif len(found) == MOST_LANES:
            self.turns.served(level.priority, next(reversed(found)).fair_key)
        return taken

    def _mark(
        self, order: Sequence[Head], gate: Gate, room: int, behind: Iterator[list[Head]]
    ) -> tuple[list[Taken], str | None]:
        """Mark up to `room` of these; return them, and the key whose turn was last.

        The places of those that could not be had, for a resource or another claimer, go to who comes next: also to
        those `behind`, where somebody keeps resources locked and nobody before had all of theirs.
        """
        taken: list[Taken] = []
        key: str | None = None
        had = False
        while chosen := admit(order, gate, room - len(taken)):
            free = self._mark_free(chosen, _spare(order, chosen, gate), gate)
            bound = self._mark_bound(chosen, gate)
            got, had = free + bound, had or bool(bound)
            key = chosen[-1].lane.fair_key
            taken += got
            if len(got) >= len(chosen):
                break
            order = _without(order, [*(head.item for head in chosen), *(item for item, *_ in got)])
            if self.busy and not had and (more := next(behind, [])):
                order = in_turn(self._reachable([*order, *more]), key)
        return taken, key

    def _behind(self, level: Level, seen: Sequence[Head], gate: Gate, each: int) -> Iterator[list[Head]]:
        """Yield, once, the items that need resources as far as `limited` looks where some are kept locked.

        None where those `seen` were all there are.
        """
        if sum(head.resources is not None for head in seen) >= each:
            reach = each * LOOKED_AT * REACHES[-1]
            yield lanes.needing(self.using, self.request, level.priority, bounds.shut(gate), reach)

    def _reachable(self, heads: Iterable[Head]) -> list[Head]:
        """Return each of these once, without those that need what somebody keeps locked."""
        once = {head.item: head for head in heads}.values()
        return [head for head in once if self.busy.isdisjoint(_candidate(head).asks)]

    def _gate(self, found: Sequence[Lane] | None) -> Gate:
        if not self.limits:
            return Gate()
        gate = bounds.gate(self.using, self.request, found, suspects=self.suspects, wait=self.wait)
        self.rates += [bound for bound in gate.bounds if bound.tokens is not None]
        return gate

    def _mark_free(self, chosen: Sequence[Head], spare: Sequence[Head], gate: Gate) -> list[Taken]:
        free = [head for head in chosen if head.resources is None]
        if not free:
            return []
        ids = plain([head.item for head in (*free, *spare)])
        params = [lock_timeout(self.using), ids, str(len(free)), *marks(self.request, alone=False)]
        taken = rows(self.using, TAKE, params)
        _take_back(free, taken, gate)
        return taken

    def _mark_bound(self, chosen: Sequence[Head], gate: Gate) -> list[Taken]:
        bound = [head for head in chosen if head.resources is not None]
        if not bound:
            return []
        wanted = [_candidate(head) for head in bound]
        taken = take_candidates(self.using, self.request, wanted, len(wanted), alone=False, busy=self.busy)
        _take_back(bound, taken, gate)
        return taken

    def _take_suspect(self) -> list[Taken]:
        gate = self._gate(None)
        shut = bounds.shut(gate)
        params = [lock_timeout(self.using), *mine(self.request), *shut, *marks(self.request, alone=True)]
        taken = rows(self.using, SUSPECTED, params) or take_suspect_with_resources(self.using, self.request, shut)
        if self.limits:
            for item, _ in taken:
                [lane] = rows(self.using, LANE, [item])
                gate.start(Lane._make(lane))
            bounds.take_tokens(self.using, gate)
        return taken


def suspect_due(using: str, request: ClaimRequest) -> int | None:
    """Return the highest priority among due suspects that this worker could have were it empty, None without any."""
    shut = bounds.shut(bounds.look_ahead(using, SOON_SECONDS, without=request.worker))
    found = rows(using, SUSPECT_DUE, [*mine(request), *shut])
    return found[0][0] if found else None


def forecast(using: str, request: ClaimRequest, turns: Turns) -> Forecast:
    """Say what a claim would take now, as far as limits and turns decide it. Locks nothing."""
    turns = turns.copy()
    gate = bounds.look(using, request)
    levels = [Level(*row) for row in rows_in_order(using, lanes.PRIORITIES)]
    if not (gate.bounds or any(level.keyed for level in levels)):
        return Forecast(ruled=False)
    order: list[Head] = []
    resources = Foresight(using)
    for level in levels:
        room = request.limit - len(order)
        if room < 1:
            break
        last = turns.last(level.priority)
        turns.seen(level.priority, _open_keys(lanes.look(using, request, level.priority, last, 1), gate))
        each = turns.heads(level.priority, room)
        found = lanes.look(using, request, level.priority, last, each)
        order += _foreseen(in_turn(_heads(using, request, level, found, gate, each), last), gate, room, resources)
    return Forecast(ruled=True, items=tuple(head.item for head in order), limits=tuple(gate.bounds))


def _foreseen(order: Sequence[Head], gate: Gate, room: int, resources: Foresight) -> list[Head]:
    """Return which of these `Ruled._mark` would take, were it alone."""
    taken: list[Head] = []
    while chosen := admit(order, gate, room - len(taken)):
        bound = [_candidate(head) for head in chosen if head.resources is not None]
        had = {head.item for head in chosen if head.resources is None} | resources.granted(bound)
        _take_back(chosen, [(item,) for item in had], gate)
        taken += [head for head in chosen if head.item in had]
        if len(had) == len(chosen):
            break
        order = _without(order, [head.item for head in chosen])
    return taken


def _without(order: Sequence[Head], items: Iterable[Any]) -> list[Head]:
    gone = set(items)
    return [head for head in order if head.item not in gone]


def _candidate(head: Head) -> Candidate:
    return Candidate.of(head.item, head.lane.namespace, head.resources or "[]")


def _open_keys(found: lanes.Heads, gate: Gate) -> int:
    return len({lane.fair_key for lane, heads in found.items() if heads and gate.open(lane)})


def _heads(using: str, request: ClaimRequest, level: Level, found: lanes.Heads, gate: Gate, each: int) -> list[Head]:
    """Return the due items among which a claim chooses."""
    heads = [head for of_lane in found.values() for head in of_lane]
    if level.needing:
        heads += lanes.needing(using, request, level.priority, bounds.shut(gate), each)
    return heads


def _spare(order: Sequence[Head], chosen: Sequence[Head], gate: Gate) -> list[Head]:
    """Return who may take the place of an item that another claimer has locked: those that no limit counts."""
    taken = {head.item for head in chosen}
    return [head for head in order if head.item not in taken and head.resources is None and not gate.over(head.lane)]


def _take_back(chosen: Sequence[Head], taken: Sequence[Taken], gate: Gate) -> None:
    """Take back from the limits what was counted for items that could not be had after all."""
    had = {item for item, *_ in taken}
    for head in chosen:
        if head.item not in had:
            gate.start(head.lane, -1)
