"""All moves of the model: what may happen next in a world, each as a pure function of it.

The operator follows runtime/store/operate.py and the verbs of runtime/operations; the faults are a worker's crash, a
lease's expiry, and a COMMIT whose answer is lost while the server may still carry it out.
"""

from __future__ import annotations

from tests.model.drain import Moves, after_commit, drain
from tests.model.housekeeping import housekeeper, then_drop
from tests.model.invariants import is_sound
from tests.model.world import (
    CANCELLED,
    ENDED,
    ITEM,
    ITEMS,
    LEASE,
    OPERATOR,
    ORPHAN,
    PAUSED,
    QUEUED,
    RUNNING,
    WORKERS,
    Hand,
    Item,
    Rules,
    Session,
    World,
    hand_at,
    is_free,
    put,
    session_at,
    written,
)


def moves(world: World, rules: Rules) -> Moves:
    """Yield every move that is possible now: what it is called, and the world after it."""
    for worker in range(WORKERS):
        if world.alive[worker]:
            for label, after in (*drain(world, worker, rules), *housekeeper(world, worker, rules)):
                yield f"worker {worker}: {label}", after
    yield from operator(world, rules)
    yield from commits(world)
    yield from faults(world)


# The operator ---------------------------------------------------------------------------------------------------------


def operator(world: World, rules: Rules) -> Moves:
    """Yield what the operator may do now."""
    session = world.sessions[OPERATOR]
    if session is None and world.left.moves:
        spent = world._replace(left=world.left._replace(moves=world.left.moves - 1))
        for number in rules.operated:
            row = world.rows[ITEM(number)]
            for verb in rules.verbs if is_free(world, OPERATOR, ITEM(number)) else ():
                if decided(row, verb, rules) is not None:
                    begun = Session("move", "write", given=(verb, number), locks=(ITEM(number),))
                    yield f"operator: {verb} {number} locks", session_at(spent, OPERATOR, begun)
    elif session is not None and session.step == "write" and (done := _move(world, session, rules)) is not None:
        yield "operator: writes", session_at(world, OPERATOR, done)


def decided(row: Item, verb: str, rules: Rules) -> Item | None:
    """Return the item after an operator's verb, None where that is a conflict."""
    running = row.state == RUNNING
    match verb:
        case "cancel" if row.state not in ENDED:
            return Item(CANCELLED, row.epoch + running, row.version)
        case "requeue" if running or row.state in ENDED:
            return Item(QUEUED, row.epoch + (running and rules.requeue_raises_epoch), row.version)
        case "pause" if running and not row.stop:
            return row._replace(stop=True)
        case "pause" | "pause now" if row.state == QUEUED or (running and verb == "pause now"):
            return Item(PAUSED, row.epoch + running, row.version)
        case "resume" if row.state == PAUSED:
            return row._replace(state=QUEUED)
        case "resume" if row.stop:
            return row._replace(stop=False)
    return None


def _move(world: World, session: Session, rules: Rules) -> Session | None:
    """Write the item, and revoke the lease that it had; None while somebody has the lease's row locked."""
    verb, number = session.given
    row, lease = world.rows[ITEM(number)], world.rows[LEASE(number)]
    after = decided(row, verb, rules)
    assert after is not None, "its row has been locked since it was decided"
    writes: tuple[tuple[int, object], ...] = ((ITEM(number), after),)
    locks = session.locks
    if row.state == RUNNING != after.state and lease is not None:
        if not is_free(world, OPERATOR, LEASE(number)):
            return None
        locks = (*locks, LEASE(number))
        writes += ((LEASE(number), lease._replace(revoked=True)),) if lease.epoch == row.epoch else ()
    return session._replace(step="COMMIT", locks=locks, writes=writes)


# The end of a transaction ---------------------------------------------------------------------------------------------


def commits(world: World) -> Moves:
    """Yield the ends of transactions: heard of, not heard of, or rolled back after the client was cut off."""
    for slot, session in enumerate(world.sessions):
        if session is not None and session.step == "COMMIT":
            yield f"{_who(slot)}: COMMIT of {session.program}", _committed(world, slot, session)
            if slot < WORKERS and world.left.answers and world.sessions[ORPHAN] is None:
                spent = world._replace(left=world.left._replace(answers=world.left.answers - 1))
                yield f"{_who(slot)}: COMMIT of {session.program}, no answer", _cut_off(spent, slot, session)
    orphan = world.sessions[ORPHAN]
    if orphan is not None:
        yield "the server rolls the cut off transaction back", session_at(world, ORPHAN, None)


def _committed(world: World, slot: int, session: Session) -> World:
    broken = world.broken or is_sound(world, session)
    sessions = put(world.sessions, slot, None)
    after = World(written(world, session), world.hands, sessions, world.alive, world.left, broken)
    if slot < WORKERS:
        return after_commit(after, slot, session)
    return session_at(after, slot, then_drop(session)) if session.program == "sweep" else after


def _cut_off(world: World, slot: int, session: Session) -> World:
    """Leave the transaction to the server, and the worker in doubt: of a claim it knows nothing."""
    hand = world.hands[slot]
    unsure = hand._replace(doing="unsure") if session.program == "commit" else Hand()
    return hand_at(session_at(session_at(world, slot, None), ORPHAN, session), slot, unsure)


def _who(slot: int) -> str:
    names = ["worker 0", "worker 1", "housekeeper 0", "housekeeper 1", "operator", "the server"]
    return names[slot]


# Faults ---------------------------------------------------------------------------------------------------------------


def faults(world: World) -> Moves:
    """Yield what may go wrong now."""
    for number in range(ITEMS):
        lease = world.rows[LEASE(number)]
        if lease is not None and lease.fresh and world.left.expiries:
            spent = world._replace(left=world.left._replace(expiries=world.left.expiries - 1))
            rows = put(world.rows, LEASE(number), lease._replace(fresh=False))
            yield f"the lease of {number} expires", spent._replace(rows=rows)
    if world.left.crashes:
        yield from _crash(world, 0)


def _crash(world: World, worker: int) -> Moves:
    """Kill a worker: its sessions are rolled back, but for a COMMIT that the server has received.

    It is always the first one: until then nothing tells them apart.
    """
    sessions = put(put(world.sessions, worker, None), WORKERS + worker, None)
    left = world.left._replace(crashes=world.left.crashes - 1)
    alive = put(world.alive, worker, False)
    gone = World(world.rows, put(world.hands, worker, Hand()), sessions, alive, left, world.broken)
    yield f"worker {worker}: is killed", gone
    session = world.sessions[worker]
    if session is not None and session.step == "COMMIT" and world.sessions[ORPHAN] is None:
        yield f"worker {worker}: is killed at its COMMIT", session_at(gone, ORPHAN, session)
