"""The worlds that are explored whole, and the protocols that are broken on purpose."""

from __future__ import annotations

from tests.model.invariants import (
    EPOCH_TELLS,
    FENCED,
    NO_DEADLOCK,
    NO_VERSION_TWICE,
    NOT_ROBBED,
    NOTHING_LOST,
    STATE_OF_VERSION,
)
from tests.model.world import Left, Rules, World, world

NONE = Left(expiries=0, crashes=0, answers=0, moves=0, retries=0)
ALL_VERBS = ("cancel", "requeue", "pause", "pause now", "resume")

WORLDS: dict[str, tuple[Rules, World]] = {
    "two items, two steps, a lease expires, a step is tried again": (
        Rules(steps=2),
        world(NONE._replace(expiries=1, retries=1)),
    ),
    "two items, a lease expires, a worker is killed, an answer is lost": (
        Rules(steps=1),
        world(NONE._replace(expiries=1, crashes=1, answers=1)),
    ),
    "two items, an operator, a worker is killed, a step is tried again or given back": (
        Rules(steps=1),
        world(NONE._replace(crashes=1, moves=1, retries=1)),
    ),
    "two items, an operator, a lease expires, a worker is killed": (
        Rules(steps=1),
        world(NONE._replace(expiries=1, crashes=1, moves=1)),
    ),
    "two items in batches, an operator, a worker is killed, an answer is lost": (
        Rules(steps=1, batch=2),
        world(NONE._replace(crashes=1, answers=1, moves=1)),
    ),
    "two items in batches, two leases expire, both workers sweep": (
        Rules(steps=1, batch=2, sweepers=(0, 1)),
        world(NONE._replace(expiries=2)),
    ),
    "one item, two steps, everything happens to it at once": (
        Rules(steps=2, operated=(0,)),
        world(NONE._replace(expiries=1, crashes=1, answers=1, moves=1), items=1),
    ),
    "one item, a lease expires, an answer is lost, the operator acts twice": (
        Rules(steps=1, operated=(0,), verbs=ALL_VERBS),
        world(NONE._replace(expiries=1, answers=1, moves=2), items=1),
    ),
}
"""What happens in each, two workers always."""

EVERY_MOVE = (
    Rules(steps=1, operated=(0,), verbs=ALL_VERBS),
    world(NONE._replace(moves=2, retries=1), items=1),
)
"""A small one, in which an item makes every transition that it can make at all."""

LARGEST = Rules(steps=1), world(NONE._replace(expiries=1, crashes=1, answers=1, moves=1))
"""Two items and everything at once: a minute and a gigabyte, so only on request."""

BROKEN: dict[str, tuple[Rules, World, str]] = {
    "the state is read in the statement that marks": (
        Rules(state_read_later=False),
        world(NONE),
        STATE_OF_VERSION,
    ),
    "a commit does not look at the epoch": (
        Rules(epoch_checked=False),
        world(NONE._replace(expiries=1)),
        FENCED,
    ),
    "a commit does not look at the version": (
        Rules(version_checked=False),
        world(NONE._replace(answers=1)),
        NO_VERSION_TWICE,
    ),
    "a sweep does not look at the lease again": (
        Rules(lease_looked_at_again=False),
        world(NONE._replace(expiries=1)),
        NOT_ROBBED,
    ),
    "a claim does not lock what it chooses": (
        Rules(claim_locks=False),
        world(NONE),
        NOT_ROBBED,
    ),
    "a claim does not look again at what it has locked": (
        Rules(claim_looks_again=False),
        world(NONE),
        NOT_ROBBED,
    ),
    "a requeue leaves the epoch": (
        Rules(requeue_raises_epoch=False),
        world(NONE._replace(moves=1)),
        EPOCH_TELLS,
    ),
    "a sweep leaves the epoch": (
        Rules(recovery_raises_epoch=False),
        world(NONE._replace(expiries=1)),
        EPOCH_TELLS,
    ),
    "a sweep locks leases before items": (
        Rules(steps=1, items_before_leases=False),
        world(NONE._replace(expiries=1)),
        NO_DEADLOCK,
    ),
    "nobody sweeps": (
        Rules(sweepers=()),
        world(NONE._replace(crashes=1)),
        NOTHING_LOST,
    ),
    "a claim that was never heard of is not given back": (
        Rules(steps=1, strangers_given_back=False),
        world(NONE._replace(answers=1)),
        NOTHING_LOST,
    ),
}
"""Each broken protocol, the smallest world in which it shows, and the promise that it breaks."""
