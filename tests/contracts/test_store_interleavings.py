"""Interleavings on PostgreSQL, forced: one session is held at a lock, the other driven past it.

`pg_stat_activity` is the witness that a session really waits before the other goes on.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict
from runtime.models import Lease, Resource, WorkItem
from runtime.operations.prune import prune_resources
from runtime.operations.resource_capacity import set_capacity
from runtime.store import get_store
from runtime.store.transactions import transacted
from tests.contracts.builders import (
    Hand,
    Together,
    cancelled,
    claims,
    item,
    kinds,
    new_item,
    put,
    traces,
    until,
    versions,
    waiting_for_locks,
)

pytestmark = pytest.mark.django_db(transaction=True)


def behind(first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """Do `first` in a transaction, drive `second` against its locks, commit, and return what `second` came to."""
    with transaction.atomic():
        first()
        waiting = Together([second])
        until(lambda: waiting_for_locks() > 0, "a wait for the first transaction's lock")
    return waiting.results()[0]


@pytest.mark.scenario("L4", "B11", "L44")
def test_a_commit_behind_a_cancel_is_refused_whole() -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    assert behind(lambda: cancelled(pk), lambda: hand.commit(claimed)) is None
    assert (item(pk).state, versions(pk)) == (State.CANCELLED, [])
    assert kinds(pk)[2:] == [EventKind.CANCELLED]


@pytest.mark.scenario("B11")
def test_a_cancel_behind_a_commit_sees_what_was_committed() -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    found = behind(lambda: hand.commit(claimed), lambda: cancelled(pk))
    assert (found.state, found.version, found.epoch) == (State.CANCELLED, 1, 2)
    assert kinds(pk)[2:] == [EventKind.STEP, EventKind.CANCELLED]


@pytest.mark.scenario("B11")
def test_a_cancel_behind_the_last_step_is_a_conflict() -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()

    def try_to_cancel() -> str:
        with pytest.raises(Conflict) as caught:
            cancelled(pk)
        return caught.value.state

    assert behind(lambda: hand.commit(claimed, State.DONE), try_to_cancel) == State.DONE
    assert kinds(pk)[2:] == [EventKind.STEP]


@pytest.mark.scenario("L44")
def test_two_commits_of_one_version_are_one() -> None:
    pk, hand = put(), Hand()
    outcome = hand.outcome(hand.take())
    answers: list[Any] = []
    late = behind(
        lambda: answers.append(hand.store.commit([outcome])),
        lambda: hand.store.commit([outcome]),
    )
    assert (answers, late) == ([{pk: State.RUNNING}], {})
    assert versions(pk) == [0, 1]


@pytest.mark.scenario("L28")
def test_a_sweep_beside_a_sweep_recovers_nothing_twice() -> None:
    pk, dead = put(), Hand()
    dead.take()
    with transaction.atomic():
        assert dead.die().recovered == 1
        beside = Together([dead.die])
        until(lambda: waiting_for_locks() > 0 or not beside.running(), "an end of the second sweep, or its wait")
    assert beside.results()[0].recovered == 0
    assert item(pk).deaths == 1


@pytest.mark.scenario("L28", "B4")
def test_a_sweep_behind_a_commit_finds_nothing_to_recover() -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    with transaction.atomic():
        hand.commit(claimed, State.DONE)
        beside = Together([hand.die])
        until(lambda: waiting_for_locks() > 0 or not beside.running(), "an end of the sweep, or its wait")
    beside.results()
    hand.die()
    assert (item(pk).state, item(pk).deaths) == (State.DONE, 0)


@pytest.mark.scenario("L26", "L28")
def test_a_sweep_behind_a_heartbeat_leaves_the_lease_that_was_renewed() -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    Lease.objects.filter(pk=pk).update(expires_at=claimed.created_at)
    report = behind(lambda: hand.renew(claimed), lambda: hand.store.sweep(batch=10))
    assert (report.recovered, item(pk).state, item(pk).epoch) == (0, State.RUNNING, 1)
    assert hand.commit(claimed) == State.RUNNING


@pytest.mark.scenario("L46")
def test_a_batch_is_locked_in_the_order_of_ids() -> None:
    low, high = sorted((put(), put()))
    hand = Hand()
    claimed = {one.id: one for one in hand.claim()}
    outcomes = [hand.outcome(claimed[high]), hand.outcome(claimed[low])]
    with transaction.atomic():
        WorkItem.objects.select_for_update().get(pk=low)
        waiting = Together([lambda: hand.store.commit(outcomes)])
        until(lambda: waiting_for_locks() > 0, "a wait for the first item's row")
        assert WorkItem.objects.select_for_update(skip_locked=True).filter(pk=high).exists()
    assert waiting.results() == [{low: State.RUNNING, high: State.RUNNING}]


@pytest.mark.scenario("L31")
@pytest.mark.parametrize("commits", [True, False])
def test_an_insert_behind_an_insert_of_the_same_key_waits_to_see_how_it_ends(commits: bool) -> None:
    store, second = get_store(), new_item(idempotency_key="k")
    with transaction.atomic():
        first = put(idempotency_key="k")
        waiting = Together([lambda: store.insert([second])])
        until(lambda: waiting_for_locks() > 0, "a wait for the key")
        transaction.set_rollback(not commits)
    assert waiting.results()[0] == (set() if commits else {second.id})
    assert set(WorkItem.objects.values_list("pk", flat=True)) == ({first} if commits else {second.id})


@pytest.mark.scenario("L29", "B8")
def test_a_waiter_for_two_resources_freed_at_one_instant_is_woken() -> None:
    hand = Hand()
    put(resources=["a"], priority=9)
    put(resources=["b"], priority=8)
    waiter = put(resources=["a", "b"])
    one, two = hand.claim()
    assert item(waiter).reason == Reason.RESOURCE
    behind(lambda: hand.commit(one, State.DONE), lambda: hand.commit(two, State.DONE))
    assert item(waiter).reason == Reason.CONTINUE
    assert hand.take().id == waiter


@pytest.mark.scenario("B9")
@pytest.mark.parametrize("verb", ["commit", "move", "release", "sweep"])
def test_no_statement_waits_for_a_lock_for_ever(verb: str) -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    verbs: dict[str, Callable[[], Any]] = {
        "commit": lambda: hand.commit(claimed),
        "move": lambda: cancelled(pk),
        "release": lambda: hand.release(claimed),
        "sweep": hand.die,
    }
    before = traces(pk)

    def timed() -> float:
        began = time.monotonic()
        try:
            verbs[verb]()
        except OperationalError as error:
            assert "lock timeout" in str(error)  # noqa: PT017 - a sweep may pass the row over instead
        return time.monotonic() - began

    with override_settings(ROOST_LOCK_TIMEOUT_MS=100), transaction.atomic():
        WorkItem.objects.select_for_update().get(pk=pk)
        assert Together([timed]).results()[0] < 5
    assert traces(pk) == before


@pytest.mark.scenario("L46")
def test_a_deadlock_is_retried_and_reaches_nobody() -> None:
    one, two = put(), put()
    meeting = threading.Barrier(2)

    def crossing(first: uuid.UUID, second: uuid.UUID) -> int:
        tries = 0

        def work() -> None:
            nonlocal tries
            tries += 1
            WorkItem.objects.select_for_update().get(pk=first)
            if tries == 1:
                meeting.wait(10)
            WorkItem.objects.select_for_update().get(pk=second)

        transacted("default", work)
        return tries

    tries = Together([lambda: crossing(one, two), lambda: crossing(two, one)]).results()
    assert sorted(tries) == [1, 2]


@pytest.mark.scenario("B9")
def test_a_transaction_of_the_store_bounds_its_statements() -> None:
    def setting(name: str) -> str:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting(%s)", [name])
            return str(cursor.fetchone()[0])

    outside = setting("lock_timeout"), setting("statement_timeout")
    with override_settings(ROOST_LOCK_TIMEOUT_MS=1234, ROOST_STATEMENT_TIMEOUT_MS=5678):
        inside = transacted("default", lambda: (setting("lock_timeout"), setting("statement_timeout")))
        assert inside == ("1234ms", "5678ms")
        with transaction.atomic():
            assert transacted("default", lambda: setting("lock_timeout")) == outside[0]
    assert (setting("lock_timeout"), setting("statement_timeout")) == outside


@pytest.mark.scenario("L29")
@pytest.mark.parametrize("verb", ["claim", "capacity"])
def test_a_resource_that_is_removed_while_somebody_asks_for_it_is_made_again(verb: str) -> None:
    Resource.objects.create(key="r")
    pk, hand = put(resources=["r"]), Hand()
    with transaction.atomic():
        assert prune_resources() == 1
        asking = Together([hand.claim if verb == "claim" else lambda: set_capacity("r", 4)])
        until(lambda: waiting_for_locks() > 0 or not asking.running(), "an end of it, or its wait")
    [asked] = asking.results()
    if verb == "claim":
        assert [one.id for one in asked or hand.claim()] == [pk]
    else:
        assert Resource.objects.get(key="r").capacity == asked.capacity == 4


@pytest.mark.scenario("L29")
def test_a_resource_that_is_claimed_while_it_is_pruned_stays() -> None:
    Resource.objects.create(key="r")
    pk, hand = put(resources=["r"]), Hand()
    with transaction.atomic():
        assert hand.take().id == pk
        assert Together([prune_resources]).results() == [0]
    assert prune_resources() == 0
    assert claims(pk) == [("r", True)]
