"""What must hold in every world, and of every transaction that commits. Each promise has a name."""

from __future__ import annotations

from tests.model.world import ENDED, HISTORY, ITEM, ITEMS, LEASE, PAUSED, RUNNING, Session, World, written

ONE_OWNER = "who runs has the one lease, of the item's epoch"
EPOCH_TELLS = "who has the item's epoch has its lease"
NO_VERSION_TWICE = "versions are made one after the other, each from the one before"
STATE_OF_VERSION = "the state that was read is that of the claimed version"
FENCED = "only the owner's outcome is written"
NOT_ROBBED = "a living owner keeps its item until its lease expires or an operator takes it"
NUMBERS_RISE = "epochs and versions never fall"
NOTHING_LOST = "every item can still come to its end, or rests where an operator put it"
NO_DEADLOCK = "no transaction waits for ever"


def violated(world: World) -> str:
    """Name the promise that this world breaks, empty where all are kept."""
    if world.broken:
        return world.broken
    for number in range(ITEMS):
        item, lease = world.rows[ITEM(number)], world.rows[LEASE(number)]
        held = lease is not None and not lease.revoked
        if held != (item.state == RUNNING) or (held and lease.epoch != item.epoch):
            return ONE_OWNER
        if world.rows[HISTORY(number)] != tuple(range(item.version + 1)):
            return NO_VERSION_TWICE
    return _of_hands(world)


def _of_hands(world: World) -> str:
    for worker, hand in enumerate(world.hands):
        for grip in hand.grips:
            item, lease = world.rows[ITEM(grip.item)], world.rows[LEASE(grip.item)]
            if grip.state != grip.version:
                return STATE_OF_VERSION
            # Who has not heard what became of its outcome may know less than the row says.
            ours = lease is not None and lease.worker == worker and not lease.revoked and item.state == RUNNING
            if not hand.outcome and item.epoch == grip.epoch and not (ours and lease.epoch == grip.epoch):
                return EPOCH_TELLS
    return ""


def is_sound(world: World, session: Session) -> str:
    """Name the promise that this transaction's COMMIT would break, empty where it breaks none."""
    after = written(world, session)
    for number in range(ITEMS):
        item, lease = world.rows[ITEM(number)], world.rows[LEASE(number)]
        new, kept = after[ITEM(number)], after[LEASE(number)]
        if new.epoch < item.epoch or new.version < item.version:
            return NUMBERS_RISE
        owned = lease is not None and lease.fresh and not lease.revoked and world.alive[lease.worker]
        if owned and kept != lease and session.program in ("claim", "sweep"):
            return NOT_ROBBED
        if session.program == "commit" and new != item and not _owns(world, session, number):
            return FENCED
    return ""


def _owns(world: World, session: Session, number: int) -> bool:
    item, lease = world.rows[ITEM(number)], world.rows[LEASE(number)]
    mine = [grip for grip, _ in session.given if grip.item == number]
    return lease is not None and not lease.revoked and [lease.epoch, item.epoch] == [one.epoch for one in mine] * 2


def is_good_end(world: World) -> bool:
    """Say whether everything has come to rest: items ended or paused, nothing under way, nobody in doubt."""
    return all(row.state in ENDED or row.state == PAUSED for row in world.rows[:ITEMS]) and not any(world.sessions)


def waits_for_ever(world: World) -> str:
    """Name the promise that a world without any further move breaks, empty where it is a good end."""
    if any(world.sessions):
        return NO_DEADLOCK
    return "" if is_good_end(world) else NOTHING_LOST
