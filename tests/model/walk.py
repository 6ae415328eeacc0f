"""Walk through the model at random, in strides that the real store can make: whole statements, and COMMITs apart.

The statements of one transaction follow each other without a pause, because a call of the store makes them all; between
the last of them and its COMMIT anything may happen, if the walk is not `alone`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.model.drain import Moves, drain
from tests.model.housekeeping import housekeeper
from tests.model.protocol import commits, faults, operator
from tests.model.world import ITEMS, LEASE, OPERATOR, ORPHAN, WORKERS, Rules, Session, World, is_free

Part = Callable[[World], Moves]


@dataclass(frozen=True, kw_only=True)
class Stride:
    """Something to do in one go: which session does it, what it is called, and the world after it."""

    slot: int
    label: str
    after: World

    @property
    def session(self) -> Session | None:
        """Return the transaction that is left open, ready for its COMMIT."""
        return self.after.sessions[self.slot] if self.slot >= 0 else None


def strides(world: World, rules: Rules, *, alone: bool) -> list[Stride]:
    """Return all that may be done next. With `alone`, nothing is begun while a transaction is open."""
    found = [
        Stride(slot=_slot(world, after), label=label, after=_heard(after, rules)) for label, after in commits(world)
    ]
    found += [Stride(slot=-1, label=label, after=after) for label, after in faults(world) if _can_happen(world, after)]
    if alone and any(world.sessions):
        return [one for one in found if "expires" not in one.label]
    for slot, part in _parts(world, rules):
        if world.sessions[slot] is None:
            found += [Stride(slot=slot, label=label, after=after) for label, after in _to_commit(world, slot, part)]
    return found


def _parts(world: World, rules: Rules) -> Iterator[tuple[int, Part]]:
    for worker in range(WORKERS):
        if world.alive[worker]:
            yield worker, lambda now, worker=worker: drain(now, worker, rules)  # type: ignore[misc]
            yield WORKERS + worker, lambda now, worker=worker: housekeeper(now, worker, rules)  # type: ignore[misc]
    yield OPERATOR, lambda now: operator(now, rules)


def _to_commit(world: World, slot: int, part: Part) -> Moves:
    """Yield where the part's statements lead, up to their COMMIT; not where one of them would have to wait."""
    for label, after in part(world):
        session = after.sessions[slot]
        if session is None or session.step == "COMMIT":
            yield label, after
        elif session.program != "sweep" or not _is_mixed(session):
            yield from _to_commit(after, slot, part)


def _is_mixed(session: Session) -> bool:
    """Say whether a sweep has found both kinds of leases: it takes two transactions then."""
    return len({revoked for _, _, revoked in session.given}) > 1


def _slot(world: World, after: World) -> int:
    gone = [slot for slot, session in enumerate(world.sessions) if session is not None and after.sessions[slot] is None]
    return next(iter(gone))


def _heard(after: World, rules: Rules) -> World:
    """Let a worker that has heard of its claim read at once: the store's call does both."""
    for worker in range(WORKERS):
        if after.hands[worker].doing == "marked":
            ((_, after),) = drain(after, worker, rules)
    return after


def _can_happen(world: World, after: World) -> bool:
    """Leave out that a lease expires whose row is locked: the test, which writes that, would have to wait."""
    changed = [number for number in range(ITEMS) if world.rows[LEASE(number)] != after.rows[LEASE(number)]]
    return all(is_free(world, ORPHAN + 1, LEASE(number)) for number in changed)
