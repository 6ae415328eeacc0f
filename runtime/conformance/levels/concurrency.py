"""Concurrency: what many do at once comes to what they could have done one after the other."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter

from runtime.choices import TERMINAL, State
from runtime.conformance.hand import Hand
from runtime.conformance.report import require
from runtime.conformance.stage import Stage, together
from runtime.exceptions import Conflict
from runtime.models import ResourceClaim, WorkItem
from runtime.store.values import Claimed, Move

ITEMS, WORKERS, CALLERS = 60, 4, 50


def no_item_is_claimed_twice(stage: Stage) -> None:
    """Claimers at once never get the same item, and leave none."""
    ids = {stage.put() for _ in range(ITEMS)}
    hands = [stage.hand() for _ in range(WORKERS)]

    def grab(hand: Hand) -> list[Claimed]:
        rounds = itertools.takewhile(bool, (hand.claim(limit=3) for _ in range(ITEMS)))
        return list(itertools.chain.from_iterable(rounds))

    taken = Counter(one.id for batch in together([lambda h=h: grab(h) for h in hands]) for one in batch)  # type: ignore[misc]
    twice = sum(count > 1 for count in taken.values())
    require(not twice, f"{twice} of {ITEMS} items were claimed more than once.")
    require(set(taken) == ids, f"{len(ids - set(taken))} of {ITEMS} items were never claimed.")
    require({item.epoch for item in stage.items()} == {1}, "An item was given a new owner although it had one.")


def one_key_makes_one_item(stage: Stage) -> None:
    """Callers at once with one idempotency key make one item."""
    new = [stage.new(idempotency_key="k") for _ in range(CALLERS)]
    inserted = [made for made in together([lambda one=one: stage.store.insert([one]) for one in new]) if made]  # type: ignore[misc]
    require(len(inserted) == 1, f"{len(inserted)} of {CALLERS} callers were told that they had made it.")
    require({item.pk for item in stage.items()} == inserted[0], f"There are {len(stage.items())} items.")


def one_version_is_made_once(stage: Stage) -> None:
    """Of outcomes for one version that are committed at once, one is written."""
    pk, hand = stage.put(), stage.hand()
    claimed = hand.take()
    written = together([lambda: hand.commit(claimed)] * WORKERS)
    accepted = sum(state is not None for state in written)
    require(accepted == 1, f"{accepted} of {WORKERS} outcomes were accepted.")
    require(stage.versions(pk) == [0, 1], f"The snapshots are {stage.versions(pk)}.")
    require(len(stage.kinds(pk)) == 3, f"The events are {stage.kinds(pk)}.")


def a_resource_has_one_holder(stage: Stage) -> None:
    """Of many claimers, one gets the one place of an exclusive resource; when it is free, the next does."""
    ids = [stage.put(resources=["r"]) for _ in range(WORKERS * 2)]
    hands = [stage.hand() for _ in range(WORKERS)]
    batches = together([hand.claim for hand in hands])
    taken = [(hand, one) for hand, batch in zip(hands, batches, strict=True) for one in batch]
    claims = ResourceClaim.objects.using(stage.using).filter(work_item__in=ids, held=True)
    require((len(taken), claims.count()) == (1, 1), f"{len(taken)} items run, with {claims.count()} claims held.")
    hand, one = taken[0]
    require(hand.commit(one, State.DONE) == State.DONE, "The outcome of the holder was refused.")
    require(len(hand.claim()) == 1, "Nobody got the resource once it was free.")


def an_outcome_and_a_cancel_do_not_both_count(stage: Stage) -> None:
    """Of an outcome and a cancel at once, each item takes one."""
    ids = [stage.put() for _ in range(ITEMS // 2)]
    hand = stage.hand()
    batch = hand.claim()

    def commit() -> set[uuid.UUID]:
        return {one.id for one in batch if hand.commit(one, State.DONE) is not None}

    def cancel() -> set[uuid.UUID]:
        return {pk for pk in reversed(ids) if _cancels(stage, pk)}

    done, gone = together([commit, cancel])
    require(not done & gone, f"{len(done & gone)} items were done and cancelled.")
    require(done | gone == set(ids), "An item was neither done nor cancelled.")
    for item in stage.items():
        wanted = (State.DONE, [0, 1]) if item.pk in done else (State.CANCELLED, [])
        seen = (item.state, stage.versions(item.pk))
        require(seen == wanted, f"An item is {seen} where it must be {wanted}.")


def _cancels(stage: Stage, pk: uuid.UUID) -> bool:
    def decide(found: WorkItem) -> Move:
        if found.state in TERMINAL:
            raise Conflict("It has ended.")
        return Move(kind="cancelled", state=State.CANCELLED, reason="", fence=True)

    try:
        return stage.store.move(pk, decide, actor="ann", reason="")[1]
    except Conflict:
        return False


CHECKS = (
    no_item_is_claimed_twice,
    one_key_makes_one_item,
    one_version_is_made_once,
    a_resource_has_one_holder,
    an_outcome_and_a_cancel_do_not_both_count,
)
