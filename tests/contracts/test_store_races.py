"""Many at once: threads with connections of their own, on every database."""

from __future__ import annotations

import itertools
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Count

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict
from runtime.models import Event, Lease, ResourceClaim, WorkItem
from runtime.store import get_store
from runtime.store.values import Claimed
from tests.contracts.builders import Hand, Together, cancelled, item, kinds, new_item, put, versions

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.scenario("L17")
def test_two_claimers_never_get_the_same_item() -> None:
    ids = {put() for _ in range(60)}
    hands = [Hand() for _ in range(4)]

    def grab(hand: Hand) -> list[Claimed]:
        return list(itertools.chain.from_iterable(iter(lambda: hand.claim(limit=3), [])))

    taken = [Counter(one.id for one in batch) for batch in Together([lambda h=h: grab(h) for h in hands]).results()]
    assert sum(taken, Counter()) == Counter(ids)
    assert Lease.objects.count() == 60
    assert set(WorkItem.objects.values_list("epoch", flat=True)) == {1}


@pytest.mark.scenario("L31")
def test_fifty_callers_with_one_key_make_one_item() -> None:
    store = get_store()
    calls = [lambda: store.insert([new_item(idempotency_key="k")]) for _ in range(50)]
    inserted = [made for made in Together(calls).results() if made]
    assert len(inserted) == 1
    assert set(WorkItem.objects.values_list("pk", flat=True)) == inserted[0]
    assert Event.objects.count() == 1


@pytest.mark.scenario("L28")
def test_three_sweepers_recover_each_item_once() -> None:
    ids = [put() for _ in range(40)]
    dead = Hand()
    dead.claim()
    reports = Together([dead.die] * 3).results()
    assert sum(report.recovered for report in reports) == 40
    assert {(item(pk).deaths, item(pk).epoch) for pk in ids} == {(1, 2)}
    assert all(kinds(pk)[2:] == [EventKind.RECOVERED] for pk in ids)


@pytest.mark.scenario("L45", "L29")
def test_one_of_many_claimers_gets_the_one_place() -> None:
    ids = [put(resources=["r"]) for _ in range(8)]
    hands = [Hand() for _ in range(4)]
    taken = list(itertools.chain.from_iterable(Together([hand.claim for hand in hands]).results()))
    assert len(taken) == 1
    assert ResourceClaim.objects.filter(held=True).count() == 1
    assert WorkItem.objects.filter(pk__in=ids, state=State.RUNNING).count() == 1


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
    ids = [put() for _ in range(30)]
    hand = Hand()
    batch = hand.claim()

    def commit() -> dict[uuid.UUID, str]:
        answers: dict[uuid.UUID, str] = {}
        for claimed in batch:
            answers |= hand.store.commit([hand.outcome(claimed, State.DONE)])
        return answers

    def cancel() -> set[uuid.UUID]:
        return {pk for pk in reversed(ids) if _cancels(pk)}

    written, gone = Together([commit, cancel]).results()
    assert set(written) | gone == set(ids)
    assert not set(written) & gone
    for pk in ids:
        assert item(pk).state == (State.DONE if pk in written else State.CANCELLED)
        assert versions(pk) == ([0, 1] if pk in written else [])
        assert len(kinds(pk)) == 3


def _cancels(pk: uuid.UUID) -> bool:
    try:
        cancelled(pk)
    except Conflict:
        return False
    return True


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
