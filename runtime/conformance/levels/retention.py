"""Retention: history goes when it may, and what resume needs never does."""

from __future__ import annotations

import json

from runtime.choices import State
from runtime.conformance.hand import Hand
from runtime.conformance.report import require
from runtime.conformance.stage import Stage
from runtime.operations.prune import prune
from runtime.store.values import Claimed

STEPS = 4


def _walk(hand: Hand, claimed: Claimed) -> None:
    """Make some steps, each of which drops the snapshot before it."""
    for version in range(STEPS):
        state = hand.commit(claimed, version=version, initial=None, drops=True)
        require(state == State.RUNNING, "An outcome of the owner was refused.")


def a_snapshot_goes_with_the_step_that_replaces_it(stage: Stage) -> None:
    """A snapshot that a policy does not keep goes with the step that replaces it; the latest is there."""
    pk, hand = stage.put(), stage.hand()
    claimed = hand.take()
    _walk(hand, claimed)
    require(stage.versions(pk) == [STEPS], f"The snapshots are {stage.versions(pk)}.")
    dropped = stage.item(pk).snapshots_dropped
    require(dropped == STEPS - 1, f"{dropped} dropped snapshots are counted, not {STEPS - 1}.")


def what_is_left_is_enough_to_go_on(stage: Stage) -> None:
    """From what a policy keeps, the next owner goes on as if all had been kept."""
    _pk, hand = stage.put(), stage.hand()
    _walk(hand, hand.take())
    hand.die()
    again = stage.hand().take()
    seen = (again.version, json.loads(again.data or "null"))
    require(seen == (STEPS, {"count": STEPS}), f"The next claim reads {seen}.")


def a_refused_outcome_drops_nothing(stage: Stage) -> None:
    """An outcome that is refused drops no snapshot."""
    pk, hand = stage.put(), stage.hand()
    claimed = hand.take()
    _walk(hand, claimed)
    hand.die()
    late = hand.commit(claimed, version=STEPS, initial=None, drops=True)
    require(late is None, "It was accepted.")
    require(stage.versions(pk) == [STEPS], f"The snapshots are {stage.versions(pk)}.")


def only_what_has_ended_is_pruned(stage: Stage) -> None:
    """Items that have ended can be removed; those that have not stay whole."""
    ended, hand = stage.put(), stage.hand()
    hand.commit(hand.take(), State.DONE)
    alive = stage.put()
    hand.commit(hand.take())
    before = stage.traces(alive)
    removed = prune(namespace=stage.name, older_than=0, using=stage.using)
    require(removed.items == 1, f"{removed.items} items were removed.")
    require([item.pk for item in stage.items()] == [alive], "Another item is left than the one that has not ended.")
    require(ended != alive and stage.traces(alive) == before, "What has not ended is no longer what it was.")


CHECKS = (
    a_snapshot_goes_with_the_step_that_replaces_it,
    what_is_left_is_enough_to_go_on,
    a_refused_outcome_drops_nothing,
    only_what_has_ended_is_pruned,
)
