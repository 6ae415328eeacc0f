"""An outcome whose row somebody keeps locked is written when that is over, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from runtime.choices import State
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.models import Event, Lease, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.store import get_store
from runtime.store.values import Outcome
from runtime.worker import committer, held_up
from runtime.worker.committer import BLOCKED
from runtime.worker.drain import Drain
from runtime.worker.held_up import HeldUp
from runtime.worker.options import WorkerOptions
from runtime.worker.run import Run
from runtime.worker.stop import StopToken
from tests.contracts.builders import until
from tests.runtime.worker.locking import locked
from tests.runtime.worker.stepping import Stub, claimed


class Paid(Engine):
    """Make two steps; the first one waits for the test. Others than "held up" are done with one."""

    steps: list[Any]
    inside: threading.Event
    go_on: threading.Event

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        self.steps.append(item.payload)
        if item.payload != "held up" or snapshot.version:
            return Complete()
        self.inside.set()
        await asyncio.to_thread(self.go_on.wait, 20)
        return Continue({})


@pytest.fixture(autouse=True)
def engines(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ROOST_ENGINES = {"paid": f"{__name__}.Paid"}
    settings.ROOST_HEARTBEAT_SECONDS = 0.2
    monkeypatch.setattr(committer, "PATIENCE_MS", 50)
    monkeypatch.setattr(held_up, "AGAIN_SECONDS", 0.05)
    Paid.steps, Paid.inside, Paid.go_on = [], threading.Event(), threading.Event()


class Worker:
    """A worker in a thread of the test."""

    def __init__(self, stop: StopToken, grace: float) -> None:
        self.drain = Drain(WorkerOptions.defaults(get_store().using, grace_seconds=grace), stop)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.drain.run()
        finally:
            connections.close_all()

    def holds_up(self) -> bool:
        return bool(self.drain.held_up._waiting)

    def ends(self) -> None:
        self._thread.join(40)
        assert not self._thread.is_alive(), "the worker does not end"


@contextmanager
def working(stop: StopToken, grace: float = 20.0) -> Iterator[tuple[Worker, WorkItem]]:
    """Give a worker that is in the first step of an item."""
    item = enqueue("paid", "held up")
    worker = Worker(stop, grace)
    try:
        assert Paid.inside.wait(20)
        yield worker, item
    finally:
        Paid.go_on.set()
        stop.request()
        worker.ends()


@pytest.fixture
def stop() -> Iterator[StopToken]:
    if connections["default"].vendor != "postgresql":
        pytest.skip("SQLite has no row locks")
    with StopToken() as stop:
        yield stop


def hold_up(worker: Worker) -> None:
    """Let the step end whose item is locked."""
    Paid.go_on.set()
    until(worker.holds_up, "the outcome that is held up")


def state(item: WorkItem) -> str:
    return WorkItem.objects.get(pk=item.pk).state


def kinds(item: WorkItem) -> list[str]:
    return list(Event.objects.filter(work_item=item).order_by("seq").values_list("kind", flat=True))


class TestOfAWorker:
    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.mark.scenario("B9", "L47")
    def test_others_are_claimed_and_committed_meanwhile_and_no_step_is_made_twice(self, stop: StopToken) -> None:
        with working(stop) as (worker, item):
            with locked(item.pk):
                hold_up(worker)
                others = [enqueue("paid", number) for number in range(3)]
                until(lambda: all(state(other) == State.DONE for other in others), "the end of the others")
                # For longer than any number of attempts in a row lasts.
                time.sleep(3)
                assert (worker.holds_up(), state(item)) == (True, State.RUNNING)
            until(lambda: state(item) == State.DONE, "the end of what was held up")
        item.refresh_from_db()
        assert (item.attempt, item.deaths, item.version, item.epoch) == (0, 0, 2, 1)
        assert Paid.steps.count("held up") == 2
        assert kinds(item) == ["enqueued", "claimed", "step", "step", "done"]

    @pytest.mark.scenario("L4")
    def test_what_is_taken_away_meanwhile_is_let_go_of(self, stop: StopToken) -> None:
        with working(stop) as (worker, item):
            with locked(item.pk, does=cancel):
                hold_up(worker)
            until(lambda: not worker.drain.runs, "letting it go")
            assert not worker.holds_up()
        item.refresh_from_db()
        assert (item.state, item.version, Paid.steps) == (State.CANCELLED, 0, ["held up"])
        assert not Lease.objects.exists()

    @pytest.mark.scenario("L9", "B9")
    def test_a_stop_waits_for_it_as_for_a_step_and_begins_no_other(self, stop: StopToken) -> None:
        with working(stop) as (worker, item):
            with locked(item.pk):
                hold_up(worker)
                stop.request()
                time.sleep(0.5)
                assert worker.holds_up()
            worker.ends()
        item.refresh_from_db()
        assert (item.state, item.version, item.attempt, item.deaths) == (State.QUEUED, 1, 0, 0)
        assert Paid.steps == ["held up"]
        assert not Lease.objects.exists()

    @pytest.mark.scenario("L9")
    def test_a_stop_waits_no_longer_than_its_grace(self, stop: StopToken, settings: Any) -> None:
        settings.ROOST_LOCK_TIMEOUT_MS = 500
        with working(stop, grace=0.5) as (worker, item), locked(item.pk):
            hold_up(worker)
            stop.request()
            began = time.monotonic()
            worker.ends()
            assert time.monotonic() - began < 10
            assert (state(item), Lease.objects.count()) == (State.RUNNING, 1), "it is given back, or its lease ends"


class Rows:
    """A committer that knows which rows are free, and which outcomes are held up for another reason."""

    WAIT = 0.05

    def __init__(self) -> None:
        self.locked: set[Any] = set()
        self.blocked: set[Any] = set()
        self.sent: list[Any] = []

    def free(self, outcomes: list[Outcome]) -> frozenset[Any]:
        return frozenset({outcome.item for outcome in outcomes} - self.locked)

    def commit(self, outcomes: list[Outcome]) -> dict[Any, str]:
        [outcome] = outcomes
        self.sent.append(outcome.item)
        time.sleep(self.WAIT)
        return {outcome.item: BLOCKED if outcome.item in self.blocked else "running"}


class Shaped:
    """Stands for an outcome."""

    def __init__(self, run: Run) -> None:
        self.item = run.id


def waiting(rows: Rows, count: int) -> tuple[HeldUp, list[Run]]:
    runs = [Run(claimed(), Stub(lambda *_: None)) for _ in range(count)]
    held: Any = HeldUp(rows, lambda run, outcome: outcome)  # type: ignore[arg-type]
    for run in runs:
        held.add(run, Shaped(run))
    return held, runs


def look(held: HeldUp) -> list[tuple[Run, str | None]]:
    """Have it look now."""
    held._look_at = 0.0
    return [(run, state) for run, _, state in held.write()]


def test_a_row_that_is_locked_still_is_not_waited_for() -> None:
    rows = Rows()
    held, (first, second, third) = waiting(rows, 3)
    rows.locked = {first.id}
    third.lost = True
    assert look(held) == [(second, "running"), (third, None)]
    assert rows.sent == [second.id]
    rows.locked = set()
    assert look(held) == [(first, "running")]
    assert held.wait(60) == 60
    assert look(held) == []


def test_another_row_that_is_locked_costs_one_wait_and_the_next_look_is_put_off() -> None:
    rows = Rows()
    held, (first, second) = waiting(rows, 2)
    rows.blocked = {first.id}
    assert look(held) == []
    assert rows.sent == [first.id], "one wait is enough"
    assert held.wait(60) > 4 * Rows.WAIT
    assert look(held) == [(second, "running")], "whoever is blocked comes last"
    rows.blocked = set()
    assert look(held) == [(first, "running")]


def test_it_is_not_looked_at_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_up, "AGAIN_SECONDS", 60.0)
    held, _ = waiting(Rows(), 1)
    assert held.write() == []
    assert 5 < held.wait(100) <= 60
    assert held.wait(5) == 5
