"""Crash: whoever dies, and whatever answer is lost, each item goes on once."""

from __future__ import annotations

from runtime.choices import EventKind, Reason, State
from runtime.conf import settings as roost
from runtime.conformance.report import Broken, require
from runtime.conformance.stage import Stage, together
from runtime.store.values import Held, Position

ITEMS, SWEEPERS = 20, 3


def a_dead_workers_items_are_due_at_once(stage: Stage) -> None:
    """The items of a dead worker are due at once, where they were, with one death more."""
    pk, hand = stage.put(), stage.hand()
    hand.commit(hand.take())
    report = hand.die()
    found = stage.item(pk)
    require(report.recovered == 1, f"The sweep says that it took {report.recovered} items back.")
    seen = (found.state, found.reason, found.deaths, found.attempt)
    require(seen == (State.QUEUED, Reason.RECOVERED, 1, 0), f"It is {seen}.")
    require(stage.leases() == {}, "The dead worker still has its lease.")
    again = stage.hand().take()
    require((again.id, again.version) == (pk, 1), f"The next owner begins at version {again.version}.")


def an_item_is_recovered_once(stage: Stage) -> None:
    """Sweepers at once take each item back once."""
    for _ in range(ITEMS):
        stage.put()
    dead = stage.hand()
    dead.claim()
    reports = together([dead.die] * SWEEPERS)
    recovered = sum(report.recovered for report in reports)
    require(recovered == ITEMS, f"The sweeps say that they took {recovered} items back, of {ITEMS}.")
    for item in stage.items():
        require(item.deaths == 1, f"One death was counted {item.deaths} times.")
        require(stage.kinds(item.pk)[2:] == [EventKind.RECOVERED], f"Its events are {stage.kinds(item.pk)}.")


def a_lost_answer_can_be_read_back(stage: Stage) -> None:
    """After a lost answer it can be read whether an outcome was written; sent again, it counts once."""
    written, unsent, hand = stage.put(), stage.put(), stage.hand()
    first, _second = hand.claim()
    hand.commit(first)
    read = stage.store.read_back([written, unsent])
    wanted = {written: Position(State.RUNNING, 1, 1, True), unsent: Position(State.RUNNING, 1, 0, True)}
    require(read == wanted, f"It reads {read}.")
    require(hand.commit(first) is None, "The outcome was written again.")
    require(stage.versions(written) == [0, 1], f"The snapshots are {stage.versions(written)}.")


def a_lost_claim_is_found(stage: Stage) -> None:
    """A lease whose worker does not know of it is told to it, and can be given back at no cost."""
    known, unknown, hand = stage.put(), stage.put(), stage.hand()
    batch = {one.id: one for one in hand.claim()}
    beat = hand.renew(batch[known])
    require(beat.strangers == {Held(unknown, 1)}, f"The heartbeat was told of {len(beat.strangers)} such leases.")
    require(hand.release(batch[unknown]) == 1, "It could not be given back.")
    found = stage.item(unknown)
    seen = (found.state, found.attempt, found.deaths)
    require(seen == (State.QUEUED, 0, 0), f"It is {seen}.")


def a_bad_outcome_writes_none_of_its_batch(stage: Stage) -> None:
    """A batch with an outcome that cannot be written is refused whole, with an error."""
    good, bad, hand = stage.put(), stage.put(), stage.hand()
    batch = {one.id: one for one in hand.claim()}
    before = stage.traces(good)
    outcomes = [hand.outcome(batch[good]), hand.outcome(batch[bad], data=None)]
    try:
        stage.store.commit(outcomes)
    except Exception:  # noqa: BLE001 - which error it is, is the store's own
        require(stage.traces(good) == before, "Its neighbour was written.")
    else:
        raise Broken("A version without data was accepted.")


def who_kills_its_workers_is_quarantined(stage: Stage) -> None:
    """An item that kills its workers runs alone from the second death on, and fails after some more."""
    pk = stage.put()
    for _ in range(2):
        hand = stage.hand()
        hand.take()
        hand.die()
    require(stage.hand().claim() == [], "A worker with other work got an item that had killed two.")
    for _ in range(roost.MAX_DEATHS):
        require(stage.item(pk).state == State.QUEUED, "It was given up too early.")
        hand = stage.hand()
        hand.take(alone=True)
        hand.die()
    found = stage.item(pk)
    require((found.state, found.reason) == (State.FAILED, Reason.POISON), f"It is {found.state} ({found.reason}).")


CHECKS = (
    a_dead_workers_items_are_due_at_once,
    an_item_is_recovered_once,
    a_lost_answer_can_be_read_back,
    a_lost_claim_is_found,
    a_bad_outcome_writes_none_of_its_batch,
    who_kills_its_workers_is_quarantined,
)
