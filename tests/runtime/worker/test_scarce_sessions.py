"""A thread that finds no database session, or a dead one, has not failed the step that it was to make."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime import registry
from runtime.choices import State
from runtime.operations.enqueue import enqueue
from runtime.store import get_store
from runtime.worker import lanes
from runtime.worker.lanes import AtomicLane, Settled
from runtime.worker.run import Run
from tests.contracts.builders import Hand
from tests.ledger.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 10.0


@pytest.fixture
def inbox() -> queue.SimpleQueue[Any]:
    """Return where the lane tells what it did."""
    return queue.SimpleQueue()


@pytest.fixture
def lane(inbox: queue.SimpleQueue[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[AtomicLane]:
    """Return a lane of one thread, which does not wait long."""
    monkeypatch.setattr(lanes, "_CONNECT_SECONDS", 0.01)
    made = AtomicLane(Hand().id, get_store(), inbox.put, 1, lambda run, outcome: outcome)
    yield made
    made.stop()


def claimed() -> Run:
    """Return an item of one atomic step that writes a row."""
    enqueue("write", {"steps": 1})
    return Run(Hand().take(), registry.get("write"))


def refuse(monkeypatch: pytest.MonkeyPatch, refused: Callable[[], bool]) -> None:
    """Let the lane's thread get no session as long as `refused` says so."""
    connect = BaseDatabaseWrapper.connect

    def connect_if_one_may(self: BaseDatabaseWrapper) -> None:
        if threading.current_thread().name.startswith("roost-atomic") and refused():
            raise OperationalError("sorry, too many clients already")
        connect(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "connect", connect_if_one_may)


@pytest.mark.scenario("F11")
def test_a_step_that_finds_no_session_waits_for_one_at_no_cost(
    lane: AtomicLane, inbox: queue.SimpleQueue[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter(range(3))
    refuse(monkeypatch, lambda: next(refusals, None) is not None)
    lane.submit([claimed()])
    settled = inbox.get(timeout=SECONDS)
    assert isinstance(settled, Settled), settled.outcome
    assert (settled.state, next(refusals, None)) == (State.DONE, None)


@pytest.mark.scenario("F11")
def test_an_item_that_is_taken_away_while_its_step_waits_for_a_session_is_let_go(
    lane: AtomicLane, inbox: queue.SimpleQueue[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = claimed()

    def taken() -> bool:
        run.lost = True
        return True

    refuse(monkeypatch, taken)
    lane.submit([run])
    assert inbox.get(timeout=SECONDS) == Settled(run, None, None)


@pytest.mark.scenario("F10")
def test_a_session_that_ended_while_its_thread_had_nothing_to_do_costs_no_step(
    lane: AtomicLane, inbox: queue.SimpleQueue[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no sessions that end")
    monkeypatch.setattr(lanes, "_IDLE_SECONDS", 0.0)
    sessions: list[int] = []
    lane.on_connect = lambda: sessions.append(backend())
    lane.submit([claimed()])
    assert inbox.get(timeout=SECONDS).state == State.DONE
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [sessions[0]])
    lane.submit([claimed()])
    settled = inbox.get(timeout=SECONDS)
    assert isinstance(settled, Settled), settled.outcome
    assert (settled.state, Entry.objects.count()) == (State.DONE, 2)
    assert len(set(sessions)) == 2


def backend() -> int:
    """Return the process id of this thread's session."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])
