"""The state of the model: committed rows, transactions under way, what workers remember, and the faults still to come.

Everything is a tuple, so that a state is its own key. `ITEM`, `LEASE` and `HISTORY` say where an item's rows stand in
`World.rows`. A session is one database connection. Its statements run one at a time, each a single move of the model:

- what a statement locks or updates is read as it is once the lock is had, and looked at again (EvalPlanQual);
- everything else that it reads is as it was when the statement began: `Session.seen`, where that can matter;
- locks and unseen writes are kept until the COMMIT, which is a move of its own, and gone with the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

ITEMS = 2
WORKERS = 2
OPERATOR = 2 * WORKERS
ORPHAN = OPERATOR + 1
SESSIONS = ORPHAN + 1
"""A drain for each worker, a housekeeper for each, the operator, and a session whose client has gone."""

QUEUED, RUNNING, PAUSED, DONE, CANCELLED = "queued", "running", "paused", "done", "cancelled"
ENDED = frozenset({DONE, CANCELLED})


def ITEM(number: int) -> int:  # noqa: N802 - reads as the name of a row
    """Return the place of an item's row."""
    return number


def LEASE(number: int) -> int:  # noqa: N802 - reads as the name of a row
    """Return the place of an item's lease."""
    return ITEMS + number


def HISTORY(number: int) -> int:  # noqa: N802 - reads as the name of a row
    """Return the place of an item's snapshots."""
    return 2 * ITEMS + number


class Item(NamedTuple):
    """A work item; `stop` is its `pause_requested`."""

    state: str = QUEUED
    epoch: int = 0
    version: int = 0
    stop: bool = False


class Lease(NamedTuple):
    """A lease; not `fresh` once it has expired."""

    worker: int
    epoch: int
    fresh: bool = True
    revoked: bool = False


class Grip(NamedTuple):
    """What a worker remembers of an item: the version it read, and the state, which is how often it was stepped."""

    item: int
    epoch: int
    version: int
    state: int


class Hand(NamedTuple):
    """A worker's memory: what it does, with which items; `outcome` is what it has sent without hearing an answer."""

    doing: str = "idle"
    grips: tuple[Grip, ...] = ()
    outcome: str = ""


class Session(NamedTuple):
    """A transaction under way: the statement that comes next, what it was given, its locks and its writes."""

    program: str
    step: str
    given: tuple[Any, ...] = ()
    locks: tuple[int, ...] = ()
    writes: tuple[tuple[int, Any], ...] = ()
    seen: tuple[Any, ...] | None = None
    at: int = 0


class Left(NamedTuple):
    """How many faults and moves are still to come."""

    expiries: int = 1
    crashes: int = 1
    answers: int = 1
    moves: int = 1
    retries: int = 1


class World(NamedTuple):
    """Everything there is."""

    rows: tuple[Any, ...]
    hands: tuple[Hand, ...]
    sessions: tuple[Session | None, ...]
    alive: tuple[bool, ...]
    left: Left
    broken: str = ""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The protocol's rules, each of which may be broken on purpose; the first few bound the world."""

    steps: int = 2
    batch: int = 1
    operated: tuple[int, ...] = (0, 1)
    verbs: tuple[str, ...] = ("cancel", "requeue", "pause", "pause now")
    state_read_later: bool = True
    epoch_checked: bool = True
    version_checked: bool = True
    lease_looked_at_again: bool = True
    claim_locks: bool = True
    claim_looks_again: bool = True
    requeue_raises_epoch: bool = True
    recovery_raises_epoch: bool = True
    items_before_leases: bool = True
    sweepers: tuple[int, ...] = (1,)
    strangers_given_back: bool = True


def world(left: Left | None = None, *, items: int = ITEMS) -> World:
    """Return the world at its beginning; items beyond `items` have ended already."""
    begun = tuple(Item() if number < items else Item(state=DONE) for number in range(ITEMS))
    return World(
        rows=(*begun, *[None] * ITEMS, *[(0,)] * ITEMS),
        hands=(Hand(),) * WORKERS,
        sessions=(None,) * SESSIONS,
        alive=(True,) * WORKERS,
        left=left or Left(),
    )


def put(values: tuple[Any, ...], place: int, value: Any) -> tuple[Any, ...]:
    """Return the tuple with one value replaced."""
    return (*values[:place], value, *values[place + 1 :])


def is_free(world: World, slot: int, row: int) -> bool:
    """Say whether no other session has the row locked."""
    for other, session in enumerate(world.sessions):
        if session is not None and other != slot and row in session.locks:
            return False
    return True


def session_at(world: World, slot: int, session: Session | None) -> World:
    """Return the world with another session in this slot."""
    rows, hands, sessions, alive, left, broken = world
    return World(rows, hands, (*sessions[:slot], session, *sessions[slot + 1 :]), alive, left, broken)


def hand_at(world: World, worker: int, hand: Hand) -> World:
    """Return the world with another memory of this worker."""
    rows, hands, sessions, alive, left, broken = world
    return World(rows, (*hands[:worker], hand, *hands[worker + 1 :]), sessions, alive, left, broken)


def own(world: World, session: Session, row: int) -> Any:
    """Return a row as the session sees it: its own write, or what is committed."""
    for place, value in session.writes:
        if place == row:
            return value
    return world.rows[row]


def written(world: World, session: Session) -> tuple[Any, ...]:
    """Return the rows as they are once the session has committed."""
    rows = list(world.rows)
    for place, value in session.writes:
        rows[place] = value
    return tuple(rows)
