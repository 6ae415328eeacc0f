"""Many at once: threads with connections of their own, on every database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count

from runtime.choices import EventKind, Reason, State
from runtime.conformance.levels import concurrency, crash
from runtime.models import Lease, ResourceClaim, WorkItem
from runtime.store import get_store
from tests.contracts.builders import Hand, Together, item, kinds, played, put, versions

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.scenario("L17")
def test_two_claimers_never_get_the_same_item() -> None:
    played(concurrency.no_item_is_claimed_twice)


@pytest.mark.scenario("L31")
def test_fifty_callers_with_one_key_make_one_item() -> None:
    played(concurrency.one_key_makes_one_item)


@pytest.mark.scenario("L28")
def test_three_sweepers_recover_each_item_once() -> None:
    played(crash.an_item_is_recovered_once)


@pytest.mark.scenario("L45", "L29")
def test_one_of_many_claimers_gets_the_one_place() -> None:
    played(concurrency.a_resource_has_one_holder)


@pytest.mark.scenario("L29")
def test_many_keys_in_opposite_orders_neither_deadlock_nor_overlap_nor_strand_anyone() -> None:
    orders = [["a", "b"], ["b", "a"], ["b", "c"], ["c", "a"], ["c", "b", "a"]]
    ids = [put(resources=orders[number % 5]) for number in range(25)]
    overlaps: list[int] = []

    def work(hand: Hand) -> int:
        done = 0
        while WorkItem.objects.exclude(state=State.DONE).exists():
            for claimed in hand.claim(limit=2):
                held = ResourceClaim.objects.filter(held=True).values("resource").annotate(n=Count("pk"))
                overlaps.extend(row["n"] for row in held if row["n"] > 1)
                assert hand.commit(claimed, State.DONE) == State.DONE
                done += 1
        return done

    hands = [Hand() for _ in range(3)]
    assert sum(Together([lambda h=h: work(h) for h in hands]).results()) == len(ids)
    assert overlaps == []
    assert not ResourceClaim.objects.exists()


@pytest.mark.scenario("B11", "L4")
def test_of_a_commit_and_a_cancel_at_once_each_item_takes_one() -> None:
    played(concurrency.an_outcome_and_a_cancel_do_not_both_count)


@pytest.mark.slow
@pytest.mark.scenario("L46")
def test_heartbeats_commits_moves_and_sweeps_at_once_never_fail() -> None:
    ids = [put(resources=["r"] if number % 4 == 0 else []) for number in range(24)]
    hands = [Hand() for _ in range(3)]

    def live(hand: Hand) -> None:
        for _ in range(12):
            batch = hand.claim(limit=8)
            hand.renew(*reversed(batch))
            hand.store.commit([hand.outcome(claimed) for claimed in reversed(batch[1:])])
            hand.renew(*batch)
            later = [hand.outcome(one, State.QUEUED, version=one.version + 1, initial=None) for one in batch[1:]]
            hand.store.commit(later)
            hand.release(*batch[:1])
            hand.acknowledge(*batch)

    def disturb() -> None:
        for pk in ids[::2]:
            get_store().move(pk, _requeue_running, actor="", reason="")

    def sweep() -> None:
        for _ in range(12):
            get_store().sweep(dead_workers=[hands[2].id], batch=5)

    calls: list[Callable[[], Any]] = [lambda h=hand: live(h) for hand in hands]  # type: ignore[misc]
    Together([*calls, disturb, sweep]).results()
    for pk in ids:
        kinds(pk)
        assert versions(pk) == list(range(item(pk).version + 1)) or not versions(pk)
    running = WorkItem.objects.filter(state=State.RUNNING)
    assert {one.pk: one.epoch for one in running} == dict(
        Lease.objects.filter(revoked_at=None).values_list("pk", "epoch")
    )


def _requeue_running(found: WorkItem) -> Any:
    from runtime.store.values import Move

    if found.state != State.RUNNING:
        return None
    return Move(kind=EventKind.REQUEUED, state=State.QUEUED, reason=Reason.REQUEUED, fence=True)
