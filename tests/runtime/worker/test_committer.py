"""Outcomes in groups: one bad row fails alone, and a lost answer is looked up, not guessed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from django.db import DataError, InterfaceError, OperationalError, connections

from runtime.choices import State
from runtime.models import Event, Lease, Snapshot, WorkItem
from runtime.store import get_store
from runtime.store.base import Store
from runtime.store.values import Outcome
from runtime.worker.committer import BLOCKED, Committer, DatabaseAway
from tests.contracts.builders import Hand, item, put
from tests.runtime.worker.cutting import lose_session_at_commit
from tests.runtime.worker.locking import locked

pytestmark = pytest.mark.django_db(transaction=True)


class Between:
    """A store with something between it and the database."""

    def __init__(self, commit: Callable[[Store, Sequence[Outcome]], dict[UUID, str]]) -> None:
        self.store = get_store()
        self.using = self.store.using
        self.read_back = self.store.read_back
        self.calls: list[int] = []
        self._commit = commit

    def commit(self, outcomes: Sequence[Outcome]) -> dict[UUID, str]:
        self.calls.append(len(outcomes))
        return self._commit(self.store, outcomes)


def committer(between: Any) -> Committer:
    return Committer(between, lambda: False)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.worker.committer.time.sleep", lambda seconds: None)


def batch(size: int) -> tuple[Hand, list[Outcome]]:
    for _ in range(size):
        put()
    hand = Hand()
    return hand, [hand.outcome(claimed) for claimed in hand.claim(limit=size)]


@pytest.mark.scenario("L47")
def test_a_row_the_database_refuses_fails_alone_in_a_batch_of_fifty() -> None:
    _hand, outcomes = batch(50)
    bad = outcomes[31]
    # Past every check of ours: jsonb has no such escape, and SQLite's JSON column no such text.
    broken = '{"x": "\\u0000"}' if connections["default"].vendor == "postgresql" else "{"
    outcomes[31] = dataclasses.replace(bad, data=broken)
    states = committer(get_store()).commit(outcomes)
    assert states.pop(bad.item) == State.FAILED
    assert set(states.values()) == {State.RUNNING}
    assert len(states) == 49
    found = item(bad.item)
    assert (found.state, found.reason, found.version) == (State.FAILED, "permanent_error", 0)
    assert "refused" in found.last_error["message"]
    assert Snapshot.objects.filter(version=1).count() == 49
    assert not Lease.objects.filter(pk=bad.item).exists()


@pytest.mark.scenario("L47")
def test_a_bad_row_is_found_by_halves() -> None:
    _hand, outcomes = batch(8)
    bad = outcomes[5].item

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        if any(one.item == bad and one.advance for one in some):
            raise DataError("no")
        return store.commit(some)

    between = Between(commit)
    assert len(committer(between).commit(outcomes)) == 8
    assert between.calls == [8, 4, 4, 2, 1, 1, 1, 2]


@pytest.mark.scenario("L40")
def test_a_commit_whose_answer_was_lost_is_found_written_and_not_written_again() -> None:
    _hand, outcomes = batch(3)
    lost: list[bool] = []

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        states = store.commit(some)
        if not lost:
            lost.append(True)
            connections["default"].close()
            raise OperationalError("server closed the connection unexpectedly")
        return states

    between = Between(commit)
    assert set(committer(between).commit(outcomes).values()) == {State.RUNNING}
    assert between.calls == [3]
    assert set(WorkItem.objects.values_list("version", flat=True)) == {1}
    assert Event.objects.filter(kind="step").count() == 3


@pytest.mark.scenario("L40")
@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_commit_that_never_arrived_is_sent_again(error: type[Exception]) -> None:
    hand, outcomes = batch(2)
    outcomes[1] = hand.outcome(hand_claimed(outcomes[1]), State.DONE, result="1")
    attempts: list[int] = []

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        attempts.append(len(some))
        if len(attempts) == 1:
            connections["default"].close()
            raise error("the connection is closed")
        return store.commit(some)

    states = committer(Between(commit)).commit(outcomes)
    assert sorted(states.values()) == [State.DONE, State.RUNNING]
    assert attempts == [2, 2]


@pytest.mark.scenario("L40", "F3")
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_a_transaction_of_several_statements_that_lost_its_session_is_read_back(
    applied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Django has connected again by the time that it raises the error."""
    hand = Hand()
    put(resources=["gpu"])
    claimed = hand.take()
    outcome = hand.outcome(claimed, State.QUEUED, reason="continue", data="{}")
    lost = lose_session_at_commit(monkeypatch, applied=applied)
    assert committer(Between(lambda store, some: store.commit(some))).commit([outcome]) == {claimed.id: State.QUEUED}
    assert lost == [True]
    assert (item(claimed.id).version, Event.objects.filter(kind="step").count()) == (1, 1)


def hand_claimed(outcome: Outcome) -> Any:
    """Return as much of a claimed item as an outcome is made of."""
    found = WorkItem.objects.get(pk=outcome.item)
    return type(
        "Claimed",
        (),
        {
            "id": found.pk,
            "epoch": found.epoch,
            "version": found.version,
            "limited": False,
            "data": None,
            "answers": None,
        },
    )


@pytest.mark.scenario("L40")
def test_an_outcome_that_ended_its_item_before_the_answer_was_lost_is_found_written() -> None:
    hand, outcomes = batch(1)
    ended = dataclasses.replace(outcomes[0], state=State.QUEUED, reason="retry", advance=False, data=None, delay=60.0)

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        store.commit(some)
        connections["default"].close()
        raise OperationalError("server closed the connection unexpectedly")

    assert committer(Between(commit)).commit([ended]) == {ended.item: State.QUEUED}
    assert item(ended.item).attempt == ended.attempt
    assert hand.claim() == []


def test_a_lock_that_is_not_had_in_time_is_no_failure_of_the_item() -> None:
    _hand, outcomes = batch(1)
    refusals = iter([True, True, False])

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        if next(refusals):
            raise OperationalError("canceling statement due to lock timeout")
        return store.commit(some)

    assert committer(Between(commit)).commit(outcomes) == {outcomes[0].item: State.RUNNING}


@pytest.mark.scenario("L47")
@pytest.mark.parametrize("another", [DataError("no"), ValueError("no")], ids=["refused", "unwritable"])
def test_an_outcome_that_is_refused_once_its_row_is_free_fails_its_item(another: Exception) -> None:
    _hand, outcomes = batch(1)
    errors = iter([OperationalError("canceling statement due to lock timeout"), another])

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        if some[0].advance:
            raise next(errors)
        return store.commit(some)

    assert committer(Between(commit)).commit(outcomes) == {outcomes[0].item: State.FAILED}
    found = item(outcomes[0].item)
    assert (found.reason, found.fingerprint) == ("permanent_error", "unstorable")


@pytest.mark.scenario("L40")
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_a_connection_that_is_lost_as_an_outcome_is_tried_again_is_read_back(applied: bool) -> None:
    _hand, outcomes = batch(1)
    tries: list[int] = []

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        tries.append(len(some))
        if len(tries) == 1:
            raise OperationalError("canceling statement due to lock timeout")
        if len(tries) == 2:
            if applied:
                store.commit(some)
            connections["default"].close()
            raise OperationalError("server closed the connection unexpectedly")
        return store.commit(some)

    assert committer(Between(commit)).commit(outcomes) == {outcomes[0].item: State.RUNNING}
    assert (item(outcomes[0].item).version, len(tries)) == (1, 2 if applied else 3)


@pytest.mark.scenario("B9", "L47")
def test_rows_that_somebody_keeps_locked_cost_their_neighbours_one_short_wait(settings: Any) -> None:
    settings.ROOST_LOCK_TIMEOUT_MS = 60_000
    _hand, outcomes = batch(50)
    bad = [outcomes[20], outcomes[31]]
    between = Between(lambda store, some: store.commit(some))
    began = time.monotonic()
    with locked(*(one.item for one in bad)):
        states = committer(between).commit(outcomes)
    assert time.monotonic() - began < 10
    assert [states.pop(one.item) for one in bad] == [BLOCKED] * 2
    assert set(states.values()) == {State.RUNNING}
    assert (len(states), between.calls) == (48, [50, 48])
    assert committer(between).commit(bad) == {one.item: State.RUNNING for one in bad}
    assert Event.objects.filter(kind="step").count() == 50


@pytest.mark.scenario("B9")
def test_an_outcome_whose_row_is_locked_is_tried_once_and_nothing_of_it_is_written(settings: Any) -> None:
    settings.ROOST_LOCK_TIMEOUT_MS = 100
    _hand, outcomes = batch(2)
    first, second = outcomes
    between = Between(lambda store, some: store.commit(some))
    with locked(first.item):
        assert committer(between).commit([first]) == {first.item: BLOCKED}
        assert committer(between).free(outcomes) == {second.item}
    assert between.calls == [1]
    assert (item(first.item).state, item(first.item).version) == (State.RUNNING, 0)


def test_an_outcome_that_cannot_be_written_now_leaves_its_item_to_be_run_again() -> None:
    _hand, outcomes = batch(1)

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        raise OperationalError("could not extend file: No space left on device")

    assert committer(Between(commit)).commit(outcomes) == {}
    assert (item(outcomes[0].item).state, item(outcomes[0].item).version) == (State.RUNNING, 0)


def test_a_worker_that_must_stop_does_not_wait_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    _hand, outcomes = batch(1)

    def away(*_args: Any) -> Any:
        connections["default"].close()
        raise OperationalError("connection refused")

    between = Between(away)
    monkeypatch.setattr(between, "read_back", away)
    with pytest.raises(DatabaseAway):
        Committer(between, lambda: True).commit(outcomes)  # type: ignore[arg-type]


def test_what_was_refused_is_kept_with_the_databases_words() -> None:
    _hand, outcomes = batch(1)

    def commit(store: Store, some: Sequence[Outcome]) -> dict[UUID, str]:
        if some[0].advance:
            raise DataError("bad \x00 value")
        return store.commit(some)

    committer(Between(commit)).commit(outcomes)
    error = item(outcomes[0].item).last_error
    assert json.dumps(error)
    assert (error["code"], error["type"]) == ("unstorable_outcome", "DataError")
