"""Fencing: who has lost an item writes nothing about it any more."""

from __future__ import annotations

import uuid

from runtime.choices import State
from runtime.conformance.report import require
from runtime.conformance.stage import Stage
from runtime.journal.entries import Answer, Begin, Place
from runtime.models import JournalEntry
from runtime.store.values import Claimed, Held


def an_outcome_of_another_epoch_leaves_no_trace(stage: Stage) -> None:
    """An outcome of another epoch, or of another version, is refused and leaves no trace."""
    pk, hand = stage.put(), stage.hand()
    claimed = hand.take()
    hand.commit(claimed)
    before = stage.traces(pk)
    for epoch, version in ((0, 1), (2, 1), (1, 0), (1, 2)):
        late = hand.outcome(claimed, State.DONE, epoch=epoch, version=version, initial=None)
        accepted = stage.store.commit([late])
        require(accepted == {}, f"Epoch {epoch} and version {version} were accepted for epoch 1 and version 1.")
        require(stage.traces(pk) == before, f"What was refused for epoch {epoch} has left a trace.")


def a_cancelled_item_takes_no_outcome(stage: Stage) -> None:
    """The outcome of a step whose item was cancelled meanwhile is refused."""
    pk, hand = stage.put(), stage.hand()
    claimed = hand.take()
    stage.cancel(pk)
    require(hand.commit(claimed, State.DONE) is None, "It was accepted.")
    require(stage.item(pk).state == State.CANCELLED, f"The item is {stage.item(pk).state}.")
    require(stage.versions(pk) == [], "There is a snapshot of it.")


def a_zombie_writes_nothing(stage: Stage) -> None:
    """Who was taken for dead and goes on is refused, whatever it writes, and the new owner is not disturbed."""
    pk, old, new = stage.put(), stage.hand(), stage.hand()
    lost = old.take()
    old.die()
    claimed = new.take()
    require(claimed.epoch > lost.epoch, "The new owner has no higher epoch than the old one.")
    before = stage.traces(pk)
    require(old.commit(lost) is None, "Its outcome was accepted.")
    require(old.release(lost) == 0, "It could give back what it does not have.")
    require(Held(pk, lost.epoch) in old.renew(lost).lost, "Its heartbeat was not told what is lost.")
    require(stage.traces(pk) == before, "It has left a trace.")
    require(new.commit(claimed) == State.RUNNING, "The outcome of the new owner was refused.")


def a_fenced_outcome_harms_no_neighbour(stage: Stage) -> None:
    """An outcome that is refused leaves the others of its batch alone."""
    gone, kept, hand = stage.put(), stage.put(), stage.hand()
    batch = hand.claim()
    stage.cancel(gone)
    accepted = stage.store.commit([hand.outcome(one) for one in batch])
    require(accepted == {kept: State.RUNNING}, f"Accepted were {len(accepted)} of 2 outcomes.")
    require(stage.versions(kept) == [0, 1], f"The neighbour's snapshots are {stage.versions(kept)}.")


def a_recorded_call_needs_the_lease(stage: Stage) -> None:
    """A call is recorded for its owner alone."""
    pk, hand = stage.put(), stage.hand()
    claimed = hand.take()
    first = stage.store.journal([_begin(claimed, "first")])[0]
    require(first.answer is Answer.WRITTEN, f"The owner was answered {first.answer}.")
    stage.requeue(pk)
    late = stage.store.journal([_begin(claimed, "late")])[0]
    require(late.answer is Answer.FENCED, f"Who had lost it was answered {late.answer}.")
    there = list(JournalEntry.objects.using(stage.using).filter(work_item=pk).values_list("key", flat=True))
    require(there == ["first"], f"Recorded are {there}.")


def _begin(claimed: Claimed, key: str) -> Begin:
    place = Place(item=claimed.id, base_version=claimed.version, key=key, epoch=claimed.epoch, version=claimed.version)
    return Begin(place=place, call=uuid.uuid4(), name="bank", input_hash="h", idempotency_key=f"1:{key}")


CHECKS = (
    an_outcome_of_another_epoch_leaves_no_trace,
    a_cancelled_item_takes_no_outcome,
    a_zombie_writes_nothing,
    a_fenced_outcome_harms_no_neighbour,
    a_recorded_call_needs_the_lease,
)
