"""What a worker's housekeeper does: renew, give back, let go, sweep.

Follows runtime/store/postgres/{renew,release,acknowledge,look,recover}.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.drain import Moves
from tests.model.world import (
    ITEM,
    ITEMS,
    LEASE,
    PAUSED,
    QUEUED,
    RUNNING,
    WORKERS,
    Item,
    Lease,
    Rules,
    Session,
    World,
    is_free,
    session_at,
)


def housekeeper(world: World, worker: int, rules: Rules) -> Moves:
    """Yield what the worker's housekeeper may do now."""
    slot = WORKERS + worker
    session = world.sessions[slot]
    if session is None:
        yield from _begin(world, worker, slot, rules)
        return
    match session.program, session.step:
        case "sweep", "lock":
            if rules.items_before_leases:
                yield "sweep locks", session_at(world, slot, _lock_free(world, slot, session))
            else:
                yield from _lock_leases(world, slot, session)
        case "sweep", "recover":
            if (done := _recover(world, slot, session, rules)) is not None:
                yield "sweep recovers", session_at(world, slot, done)
        case (("drop" | "release"), "delete"):
            if all(is_free(world, slot, LEASE(number)) for number, *_ in session.given):
                done = _drop(world, session) if session.program == "drop" else _release(world, session)
                yield f"{session.program} deletes", session_at(world, slot, done)
        case (("drop" | "release"), "lock"):
            yield from _lock(world, slot, session)


def _begin(world: World, worker: int, slot: int, rules: Rules) -> Moves:
    leases = list(_leases(world))
    if not leases:
        return
    mine = [(number, lease) for number, lease in leases if lease.worker == worker]
    known = {(grip.item, grip.epoch) for grip in world.hands[worker].grips}
    for number, lease in mine:
        one = ((number, lease.epoch, worker),)
        if (number, lease.epoch) in known:
            if not (lease.fresh or lease.revoked) and is_free(world, slot, LEASE(number)):
                renewed = (LEASE(number), lease._replace(fresh=True))
                session = Session("renew", "COMMIT", locks=(LEASE(number),), writes=(renewed,))
                yield f"renew {number}", session_at(world, slot, session)
        elif lease.revoked:
            yield from _lock(world, slot, Session("drop", "lock", given=one))
        elif rules.strangers_given_back:
            yield from _lock(world, slot, Session("release", "lock", given=one))
    found = tuple((number, lease.epoch, lease.revoked) for number, lease in leases if _is_gone(world, lease))
    if found and worker in rules.sweepers:
        yield "sweep looks", session_at(world, slot, Session("sweep", "lock", given=found))


def _leases(world: World) -> Iterator[tuple[int, Lease]]:
    for number in range(ITEMS):
        lease = world.rows[LEASE(number)]
        if lease is not None:
            yield number, lease


def _is_gone(world: World, lease: Lease) -> bool:
    return not (lease.fresh and world.alive[lease.worker])


def _lock(world: World, slot: int, session: Session) -> Moves:
    """Lock the next item, by number: one statement that waits where somebody else has one."""
    locks, at = session.locks, session.at
    if at < len(session.given) and is_free(world, slot, ITEM(session.given[at][0])):
        locks, at = (*locks, ITEM(session.given[at][0])), at + 1
    if at > session.at:
        step = "delete" if at == len(session.given) else "lock"
        yield f"{session.program} locks", session_at(world, slot, session._replace(locks=locks, at=at, step=step))


# Sweep ----------------------------------------------------------------------------------------------------------------


def _lock_free(world: World, slot: int, session: Session) -> Session | None:
    """Lock the items of leases whose holder is gone, passing over those that others have locked."""
    found = [one for one in session.given if not one[2] and is_free(world, slot, ITEM(one[0]))]
    revoked = [one for one in session.given if one[2]]
    if found:
        locks = tuple(ITEM(number) for number, *_ in found)
        return session._replace(step="recover", given=(*found, *revoked), locks=locks)
    return then_drop(session)


def _lock_leases(world: World, slot: int, session: Session) -> Moves:
    """Break the order of locks: have the leases before the items, and wait for both."""
    rows = tuple(LEASE(number) for number, _, is_revoked in session.given if not is_revoked)
    if not rows:
        yield "sweep locks nothing", session_at(world, slot, then_drop(session))
    elif all(is_free(world, slot, row) for row in rows):
        yield "sweep locks leases", session_at(world, slot, session._replace(step="recover", locks=rows))


def then_drop(session: Session) -> Session | None:
    """Go on with the revoked leases that the sweep has found, in a transaction of their own."""
    revoked = tuple((number, epoch, None) for number, epoch, is_revoked in session.given if is_revoked)
    return Session("drop", "lock", given=revoked) if revoked else None


def _recover(world: World, slot: int, session: Session, rules: Rules) -> Session | None:
    """Delete the leases, each looked at again once it is had, and queue their items; None while one is locked."""
    found = [one for one in session.given if not one[2]]
    if not all(is_free(world, slot, row) for number, *_ in found for row in (ITEM(number), LEASE(number))):
        return None
    locks, writes = session.locks, session.writes
    for number, epoch, _ in found:
        lease, row = world.rows[LEASE(number)], world.rows[ITEM(number)]
        if lease is None:
            continue
        locks = (*locks, LEASE(number))
        again = lease.epoch == epoch and not lease.revoked and _is_gone(world, lease)
        if not (again or not rules.lease_looked_at_again):
            continue
        writes = (*writes, (LEASE(number), None))
        if row.state == RUNNING:
            writes = (*writes, (ITEM(number), _given_back(row, raised=rules.recovery_raises_epoch)))
    return session._replace(step="COMMIT", locks=locks, writes=writes)


def _given_back(row: Item, *, raised: bool = True) -> Item:
    return row._replace(state=PAUSED if row.stop else QUEUED, epoch=row.epoch + raised, stop=False)


# Given back, and let go -----------------------------------------------------------------------------------------------


def _release(world: World, session: Session) -> Session:
    number, epoch, worker = session.given[0]
    lease, row = world.rows[LEASE(number)], world.rows[ITEM(number)]
    ours = lease is not None and lease.epoch == epoch and lease.worker == worker and not lease.revoked
    writes = ((LEASE(number), None), (ITEM(number), _given_back(row))) if ours and row.state == RUNNING else ()
    return session._replace(step="COMMIT", locks=(*session.locks, LEASE(number)), writes=writes)


def _drop(world: World, session: Session) -> Session:
    """Delete revoked leases: a worker its own, a sweep those of anybody who is gone."""
    locks, writes = session.locks, session.writes
    for number, epoch, worker in session.given:
        lease = world.rows[LEASE(number)]
        over = lease is not None and lease.epoch == epoch and lease.revoked
        if over and (lease.worker == worker or _is_gone(world, lease)):
            locks, writes = (*locks, LEASE(number)), (*writes, (LEASE(number), None))
    return session._replace(step="COMMIT", locks=locks, writes=writes)
