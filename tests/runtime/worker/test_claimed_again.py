"""An item that its own worker claims again while the old step still runs: two runs, and neither takes the other's."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from runtime import instrument, wake
from runtime.choices import State
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.models import Event, Lease, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.requeue import requeue
from runtime.store import get_store
from runtime.worker import outcomes
from runtime.worker.context import Context
from runtime.worker.drain import Drain, Lost
from runtime.worker.lanes import Finished, Settled
from runtime.worker.options import WorkerOptions
from runtime.worker.run import Run
from runtime.worker.stop import StopToken

pytestmark = pytest.mark.django_db(transaction=True)


class Slow(Engine):
    """Take so many seconds, and say when a step began and how it ended."""

    began: list[float]
    ended: list[str]

    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        self.began.append(time.monotonic())
        time.sleep(item.payload)
        self.ended.append("whole")
        return Complete()


class AsyncSlow(Slow):
    """Do so on the event loop."""

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        self.began.append(time.monotonic())
        try:
            # Whoever comes second is quick: what is tested is the end of the first.
            await asyncio.sleep(item.payload if len(self.began) == 1 else 0.1)
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("whole")
        return Complete()


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    settings.ROOST_ENGINES = {
        **settings.ROOST_ENGINES,
        "slow": f"{__name__}.Slow",
        "async-slow": f"{__name__}.AsyncSlow",
    }
    Slow.began, Slow.ended = [], []


def options() -> WorkerOptions:
    return WorkerOptions.defaults(get_store().using, until_idle=True, grace_seconds=1.0)


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drain]:
    """Return a worker that is registered but whose pump stands still, and whose lanes only note what they are given."""
    with StopToken() as stop:
        drain = Drain(options(), stop)
        drain.crew.registration.enter()
        drain.crew.async_lane.start()
        monkeypatch.setattr(drain.crew, "submit", lambda runs: [setattr(run, "started", 1.0) for run in runs])
        monkeypatch.setattr(drain.crew, "cancel", lambda run: drain.inbox.put(run.held))
        yield drain
        drain.crew.async_lane.stop()
        drain.crew.registration.leave()


def take(drain: Drain) -> Run:
    """Have the pump claim the one item that is due."""
    before = set(drain.runs)
    drain._start(drain.store.claim(drain.request(1)))
    [run] = set(drain.runs) - before
    run.data = "{}"
    return run


def taken_twice(drain: Drain) -> tuple[Run, Run]:
    item = enqueue("hop", {"steps": 9})
    old = take(drain)
    requeue(item.pk)
    return old, take(drain)


def finished(drain: Drain, run: Run, decision: Any = None) -> Finished:
    decision = Continue({}) if decision is None else decision
    outcome = outcomes.settle(drain.worker, run, Context(run, drain.store.using), decision, None)
    return Finished(run, outcome)


def position() -> tuple[str, int, int]:
    item = WorkItem.objects.get()
    return item.state, item.epoch, item.version


@pytest.mark.scenario("L4")
def test_an_old_run_is_told_when_its_item_is_claimed_here_again(drain: Drain) -> None:
    old, new = taken_twice(drain)
    assert (old.lost, new.lost) == (True, False)
    assert drain.inbox.get_nowait() == old.held
    assert list(drain.runs) == [old, new], "the watchdog has to see both"


@pytest.mark.scenario("L4")
@pytest.mark.parametrize("end", ["outcome", "cancelled", "fenced"])
def test_the_end_of_an_old_run_leaves_the_new_one_known(drain: Drain, end: str) -> None:
    old, new = taken_twice(drain)
    made = finished(drain, old, Complete())
    ends = {"outcome": made, "cancelled": Finished(old, None), "fenced": Settled(old, made.outcome, None)}
    drain._handle([ends[end]])
    assert list(drain.runs) == [new]
    assert position() == (State.RUNNING, 3, 0)
    assert Lease.objects.get().epoch == 3
    drain._handle([finished(drain, new, Complete())])
    assert (position(), len(drain.runs)) == ((State.DONE, 3, 1), 0)


@pytest.mark.scenario("L4")
@pytest.mark.parametrize("newest_first", [False, True])
def test_an_old_and_a_new_run_that_end_together_do_not_share_an_answer(drain: Drain, newest_first: bool) -> None:
    old, new = taken_twice(drain)
    messages = [finished(drain, old), finished(drain, new)]
    drain._handle(messages[::-1] if newest_first else messages)
    assert list(drain.runs) == [new]
    assert (old.version, new.version) == (0, 1)
    assert position() == (State.RUNNING, 3, 1)


@pytest.mark.scenario("L4")
def test_a_heartbeat_takes_the_lease_of_the_newest_run_for_its_own(drain: Drain) -> None:
    old, new = taken_twice(drain)
    old.progress = '"old"'
    for _ in range(3):
        drain.crew.housekeeping._beat()
    assert Lease.objects.get().progress is None
    drain._handle([Lost(frozenset([old.held]))])
    drain._handle([Finished(old, None)])
    for _ in range(3):
        drain.crew.housekeeping._beat()
    assert (position(), new.lost) == ((State.RUNNING, 3, 0), False)


@pytest.mark.scenario("L4")
def test_a_third_claim_leaves_two_old_runs_and_each_goes_by_itself(drain: Drain) -> None:
    old, new = taken_twice(drain)
    requeue(new.id)
    third = take(drain)
    assert [run.lost for run in (old, new, third)] == [True, True, False]
    drain._handle([finished(drain, new)])
    assert list(drain.runs) == [old, third]
    drain._handle([finished(drain, third, Complete()), finished(drain, old)])
    assert (position(), len(drain.runs)) == ((State.DONE, 5, 1), 0)


def test_the_holder_of_an_item_is_told_before_anybody_looks_for_work(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(wake, "hint", lambda using: said.append("hint"))
    monkeypatch.setattr(wake, "recall", lambda using, item: said.append("recall"))
    instrument.moved("default", WorkItem(pk=uuid.uuid4()), "requeue")
    assert said == ["recall", "hint"]


@pytest.mark.scenario("L4")
@pytest.mark.parametrize(("engine", "ended"), [("slow", ["whole"] * 2), ("async-slow", ["cancelled", "whole"])])
def test_an_item_that_is_requeued_while_it_runs_is_run_once_more_and_no_oftener(
    settings: Any, engine: str, ended: list[str]
) -> None:
    settings.ROOST_HEARTBEAT_SECONDS, settings.ROOST_LEASE_SECONDS = 0.2, 5.0
    item = enqueue(engine, 2.0)

    def again() -> None:
        while not Slow.began:
            time.sleep(0.02)
        time.sleep(0.5)
        requeue(item.pk)
        connections.close_all()

    operator = threading.Thread(target=again)
    operator.start()
    with StopToken() as stop:
        ends = threading.Timer(20, stop.request)
        ends.start()
        Drain(options(), stop).run()
        ends.cancel()
    operator.join()
    item.refresh_from_db()
    assert (item.state, item.epoch, item.deaths, item.attempt) == (State.DONE, 3, 0, 0)
    assert (len(Slow.began), Slow.ended) == (2, ended)
    kinds = Event.objects.filter(work_item=item).order_by("seq").values_list("kind", flat=True)
    assert list(kinds) == ["enqueued", "claimed", "requeued", "claimed", "step", "done"]
