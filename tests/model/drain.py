"""What a worker's drain does: claim, read, commit, and read back what it never heard the answer to.

Follows runtime/store/postgres/{unruled,mark,claim,commit,positions}.py and runtime/worker/committer.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.model.world import (
    DONE,
    HISTORY,
    ITEM,
    ITEMS,
    LEASE,
    PAUSED,
    QUEUED,
    RUNNING,
    Grip,
    Hand,
    Item,
    Lease,
    Rules,
    Session,
    World,
    hand_at,
    is_free,
    session_at,
)

Moves = Iterator[tuple[str, World]]


def drain(world: World, worker: int, rules: Rules) -> Moves:
    """Yield what the worker's drain may do now."""
    session, hand = world.sessions[worker], world.hands[worker]
    if session is not None:
        yield from _go_on(world, worker, session, rules)
    elif hand.doing == "idle":
        if any(row.state == QUEUED for row in world.rows[:ITEMS]):
            yield "claim begins", session_at(world, worker, Session("claim", "mark", seen=_seen(world, rules)))
    elif hand.doing == "marked":
        yield "claim reads", hand_at(world, worker, _read(world, hand))
    elif hand.doing == "unsure":
        yield "reads back", hand_at(world, worker, _read_back(world, hand))
    else:
        yield from _send(world, worker, hand, rules)


def _go_on(world: World, worker: int, session: Session, rules: Rules) -> Moves:
    match session.program, session.step:
        case "claim", "mark":
            yield from _mark(world, worker, session, rules)
        case "claim", "lease":
            if (leased := _lease(world, worker, session)) is not None:
                yield "claim leases", session_at(world, worker, leased)
        case "commit", "write":
            yield from _write(world, worker, session, rules)


# Claim ----------------------------------------------------------------------------------------------------------------


def _seen(world: World, rules: Rules) -> tuple[Any, ...]:
    """Return what of the beginning's snapshot the statement uses: which items are due, broken also their snapshots."""
    due = tuple(number for number in range(ITEMS) if world.rows[ITEM(number)].state == QUEUED)
    return due, () if rules.state_read_later else tuple(world.rows[HISTORY(number)] for number in range(ITEMS))


def _mark(world: World, worker: int, session: Session, rules: Rules) -> Moves:
    """Lock and mark what was due when the statement began and, looked at again under its lock, still is."""
    assert session.seen is not None
    due, _ = session.seen
    if not rules.claim_locks and not all(is_free(world, worker, ITEM(number)) for number in due):
        return
    free = [number for number in due if is_free(world, worker, ITEM(number))]
    if rules.claim_locks and rules.claim_looks_again:
        free = [number for number in free if world.rows[ITEM(number)].state == QUEUED]
    choices = [[number] for number in free] + ([free] if rules.batch > 1 and len(free) > 1 else [])
    if not free:
        yield "claim finds nothing", session_at(world, worker, None)
        return
    for chosen in choices:
        marked = _marked(world, session, chosen, rules)
        yield f"claim marks {chosen}", session_at(world, worker, _lease(world, worker, marked) or marked)


def _marked(world: World, session: Session, chosen: list[int], rules: Rules) -> Session:
    grips, writes = [], []
    for number in chosen:
        row: Item = world.rows[ITEM(number)]
        writes.append((ITEM(number), row._replace(state=RUNNING, epoch=row.epoch + 1)))
        grip = Grip(number, row.epoch + 1, -1, -1)
        if not rules.state_read_later:
            # The item's row is the newest, the snapshots are those of the statement's beginning.
            assert session.seen is not None
            history = session.seen[1][number]
            state = history[row.version] if row.version < len(history) else 0
            grip = grip._replace(version=row.version, state=state)
        grips.append(grip)
    return Session(
        "claim", "lease", given=tuple(grips), locks=tuple(ITEM(number) for number in chosen), writes=tuple(writes)
    )


def _lease(world: World, worker: int, session: Session) -> Session | None:
    """Write the leases over what is left of older ones; None while somebody has a lease's row locked."""
    rows = tuple(LEASE(grip.item) for grip in session.given)
    if not all(is_free(world, worker, row) for row in rows):
        return None
    leases = tuple((LEASE(grip.item), Lease(worker, grip.epoch)) for grip in session.given)
    return session._replace(step="COMMIT", locks=session.locks + rows, writes=session.writes + leases)


def _read(world: World, hand: Hand) -> Hand:
    """Read state and version at one instant, of the items that are still ours."""
    grips = []
    for grip in hand.grips:
        row: Item = world.rows[ITEM(grip.item)]
        if row.epoch == grip.epoch:
            state = world.rows[HISTORY(grip.item)][row.version]
            grips.append(grip if grip.version >= 0 else grip._replace(version=row.version, state=state))
    return Hand("running", tuple(grips)) if grips else Hand()


# Commit ---------------------------------------------------------------------------------------------------------------


def _send(world: World, worker: int, hand: Hand, rules: Rules) -> Moves:
    """Send the outcome of a step, or, after a lost answer, the same one again; or stop and forget the item."""
    if hand.outcome:
        outcomes = [hand.outcome]
    else:
        final = all(grip.version + 1 >= rules.steps for grip in hand.grips)
        outcomes = ["on", *([] if final else ["yield"]), *(["retry"] if world.left.retries else [])]
    ours = tuple(_is_ours(world.rows[ITEM(grip.item)], grip, rules) for grip in hand.grips)
    for outcome in outcomes:
        spent = world.left._replace(retries=world.left.retries - (outcome == "retry" and not hand.outcome))
        sent = hand_at(world._replace(left=spent), worker, hand._replace(outcome=outcome))
        yield from _write(sent, worker, Session("commit", "write", given=hand.grips, seen=ours, at=-1), rules)
    if world.left.retries and not hand.outcome:
        spent = world.left._replace(retries=world.left.retries - 1)
        yield "stops", hand_at(world._replace(left=spent), worker, Hand())


def _write(world: World, worker: int, session: Session, rules: Rules) -> Moves:
    """Lock the next item; with the last one look at each again and write what is not fenced off.

    A row that was fenced off when the statement began is passed over without a lock.
    """
    assert session.seen is not None
    locks, at = session.locks, max(session.at, 0)
    if at < len(session.given):
        row = ITEM(session.given[at].item)
        if not session.seen[at] or is_free(world, worker, row):
            locks, at = ((*locks, row) if session.seen[at] else locks), at + 1
    ready = session._replace(locks=locks, at=at)
    outcome = world.hands[worker].outcome
    if at == len(session.given):
        done = _outcomes(world, worker, ready, outcome, rules)
        if done is not None:
            yield f"commit writes ({outcome})", session_at(world, worker, done)
            return
    if at > session.at:
        yield f"commit locks or waits ({outcome})", session_at(world, worker, ready)


def _outcomes(world: World, worker: int, session: Session, outcome: str, rules: Rules) -> Session | None:
    """Return the session with everything written; None while somebody has the row of a lease that ends locked."""
    writes: list[tuple[int, object]] = []
    told: list[tuple[Grip, str]] = []
    locks = session.locks
    for grip, was_ours in zip(session.given, session.seen or (), strict=True):
        row: Item = world.rows[ITEM(grip.item)]
        if not (was_ours and _is_ours(row, grip, rules)):
            told.append((grip, ""))
            continue
        state, advance = _state(row, grip, outcome, rules), outcome != "retry"
        writes.append((ITEM(grip.item), Item(state, row.epoch, row.version + advance)))
        if advance:
            writes.append((HISTORY(grip.item), (*world.rows[HISTORY(grip.item)], grip.state + 1)))
        lease = world.rows[LEASE(grip.item)]
        if state != RUNNING and lease is not None:
            if not is_free(world, worker, LEASE(grip.item)):
                return None
            locks = (*locks, LEASE(grip.item))
            writes += [(LEASE(grip.item), None)] if lease.epoch == row.epoch else []
        told.append((grip, state))
    return session._replace(step="COMMIT", given=tuple(told), locks=locks, writes=tuple(writes), seen=None, at=0)


def _is_ours(row: Item, grip: Grip, rules: Rules) -> bool:
    if row.state != RUNNING or (rules.epoch_checked and row.epoch != grip.epoch):
        return False
    return row.version == grip.version or not rules.version_checked


def _state(row: Item, grip: Grip, outcome: str, rules: Rules) -> str:
    if outcome != "retry" and grip.version + 1 >= rules.steps:
        return DONE
    if row.stop:
        return PAUSED
    return RUNNING if outcome == "on" else QUEUED


def after_commit(world: World, worker: int, session: Session) -> World:
    """Let the worker learn what became of its claim or its outcomes."""
    if session.program == "claim":
        return hand_at(world, worker, Hand("marked", session.given))
    grips = tuple(_next(grip, world.hands[worker].outcome) for grip, state in session.given if state == RUNNING)
    return hand_at(world, worker, _with(grips))


def _next(grip: Grip, outcome: str) -> Grip:
    advance = outcome != "retry"
    return grip._replace(version=grip.version + advance, state=grip.state + advance)


def _with(grips: tuple[Grip, ...]) -> Hand:
    return Hand("running", tuple(sorted(grips))) if grips else Hand()


def _read_back(world: World, hand: Hand) -> Hand:
    """Tell by version and lease whether the lost outcomes were written; send again what was not."""
    going_on, missing = [], []
    for grip in hand.grips:
        row, lease = world.rows[ITEM(grip.item)], world.rows[LEASE(grip.item)]
        leased = lease is not None and lease.epoch == row.epoch and not lease.revoked
        if row.epoch != grip.epoch:
            continue
        if row.version == grip.version + 1 and hand.outcome != "retry":
            going_on += [_next(grip, hand.outcome)] if row.state == RUNNING else []
        elif row.version == grip.version and leased:
            missing.append(grip)
    assert not (going_on and missing), "a batch is written whole or not at all"
    return Hand("running", tuple(missing), hand.outcome) if missing else _with(tuple(going_on))
