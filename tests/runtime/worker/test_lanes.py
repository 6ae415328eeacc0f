"""Steps that misbehave in their lane: whatever one does, it is reported, and the lane goes on."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError, connection

from runtime import registry
from runtime.choices import State
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.exceptions import PermanentError
from runtime.models import Event, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from runtime.store import get_store
from runtime.store.values import ClaimRequest
from runtime.worker.drain import Drain
from runtime.worker.housekeeping import Housekeeping
from runtime.worker.lanes import AsyncLane, AtomicLane, Finished, Settled
from runtime.worker.options import WorkerOptions
from runtime.worker.registration import Link, Registration
from runtime.worker.run import Run
from runtime.worker.stop import StopToken
from tests.ledger.models import Entry

pytestmark = pytest.mark.django_db(transaction=True)
postgres_only = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no sessions to end")
SECONDS = 10.0


class Ends(Engine):
    """Try to end its process, its thread or its task, as the payload says."""

    retry = RetryPolicy(max_attempts=1, base=0.1, cap=0.1, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {}


class AsyncEnds(Ends):
    """In the async lane."""

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        if item.payload == "exit":
            sys.exit(3)
        if item.payload == "exit in a task":
            await asyncio.create_task(self._exit())
        if item.payload == "interrupt":
            raise KeyboardInterrupt
        if item.payload == "await what was cancelled":
            task = asyncio.ensure_future(asyncio.sleep(60))
            task.cancel()
            await task
        return Complete()

    async def _exit(self) -> None:
        sys.exit(3)


class AtomicEnds(Ends):
    """In the atomic lane."""

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        if item.payload == "exit":
            sys.exit(3)
        if item.payload == "interrupt":
            raise KeyboardInterrupt
        if item.payload == "torn":
            raise Torn
        return Complete()


class Torn(PermanentError):
    """Raises itself when it is looked at."""

    @property
    def details(self) -> Any:  # type: ignore[override]
        """Fail."""
        raise self

    def __init__(self) -> None:
        pass


class Breaks(Engine):
    """Write a row, or lose the database session."""

    retry = RetryPolicy(max_attempts=3, base=0.01, cap=0.01, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        if item.payload == "break":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        Entry.objects.create(item=item.id, number=1, pid=0)
        return Continue({})


class Crowd(Engine):
    """Make as many sync calls at once as its payload says; none of them returns before all have begun."""

    retry = RetryPolicy(max_attempts=1, base=0.1, cap=0.1, jitter=0)

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        everybody = threading.Barrier(item.payload)
        calls = (ctx.run(str(number), meet, everybody, input=number) for number in range(item.payload))
        return Complete(sum(await asyncio.gather(*calls)))


def meet(everybody: threading.Barrier) -> int:
    """Wait for all the others; fail when they do not come."""
    everybody.wait(SECONDS / 2)
    return 1


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    named = {"async": "AsyncEnds", "atomic": "AtomicEnds", "breaks": "Breaks", "crowd": "Crowd"}
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, **{name: f"{__name__}.{what}" for name, what in named.items()}}


@pytest.fixture
def inbox() -> queue.SimpleQueue[Any]:
    return queue.SimpleQueue()


@pytest.fixture
def worker() -> Iterator[Registration]:
    registration = Registration(options(), ["breaks"], get_store().using)
    registration.enter()
    yield registration
    registration.leave()


def options() -> WorkerOptions:
    return WorkerOptions.defaults(get_store().using, until_idle=True, grace_seconds=1.0)


def claimed(worker: uuid.UUID, engine: str, payload: Any = None, count: int = 1) -> list[Run]:
    for _ in range(count):
        enqueue(engine, payload)
    request = ClaimRequest(worker=worker, engines=(engine,), pools=(), limit=count)
    return [Run(one, registry.get(engine)) for one in get_store().claim(request)]


def work() -> None:
    """Run a worker in this process until it finds nothing to do; fail rather than wait for a lane that is dead."""
    with StopToken() as stop:
        overdue = threading.Timer(SECONDS, stop.request)
        overdue.start()
        Drain(options(), stop).run()
        assert not stop.requested, "a lane is dead"
        overdue.cancel()
        overdue.join()


@pytest.mark.scenario("B16", "B17")
@pytest.mark.parametrize("how", ["exit", "exit in a task", "interrupt", "await what was cancelled"])
def test_an_async_step_that_ends_itself_fails_alone(how: str) -> None:
    bad, good = enqueue("async", how), enqueue("async", "nothing")
    work()
    assert WorkItem.objects.get(pk=good.pk).state == State.DONE
    found = WorkItem.objects.get(pk=bad.pk)
    assert (found.state, found.attempt) == (State.FAILED, 1)
    assert Event.objects.filter(work_item=bad.pk, kind="claimed").count() == 1


@pytest.mark.scenario("B16", "B17")
@pytest.mark.parametrize("how", ["exit", "interrupt", "torn"])
def test_an_atomic_step_that_ends_itself_fails_alone(how: str, settings: Any) -> None:
    settings.ROOST_ATOMIC_CONCURRENCY = 1
    bad, good = enqueue("atomic", how, priority=1), enqueue("atomic", "nothing")
    work()
    assert WorkItem.objects.get(pk=bad.pk).state == State.FAILED
    assert WorkItem.objects.get(pk=good.pk).state == State.DONE


@pytest.mark.scenario("S1", "B16")
def test_forty_sync_calls_of_an_async_step_are_made_at_once() -> None:
    item = enqueue("crowd", 40)
    work()
    found = WorkItem.objects.get(pk=item.pk)
    assert (found.state, found.result) == (State.DONE, 40), found.last_error


@pytest.mark.scenario("L4")
def test_a_step_cancelled_before_it_began_is_reported_all_the_same(
    worker: Registration, inbox: queue.SimpleQueue[Any]
) -> None:
    lane = AsyncLane(worker.id, get_store().using, inbox.put)
    [run] = claimed(worker.id, "async", "nothing")
    lane.submit([run])
    run.lost = True
    lane.cancel(run)
    lane.start()  # the loop finds both orders at once, as a busy one does
    try:
        assert inbox.get(timeout=SECONDS) == Finished(run, None)
    finally:
        lane.stop()


@pytest.mark.scenario("L9", "B16")
def test_the_watchdog_counts_no_time_that_an_item_waits_for_a_thread(
    worker: Registration, inbox: queue.SimpleQueue[Any]
) -> None:
    lane = AtomicLane(
        worker.id, get_store(), lambda told: inbox.put((told, run.started)), 1, lambda run, outcome: outcome
    )
    [run] = claimed(worker.id, "atomic", "nothing")
    lane.submit([run])
    try:
        settled, started = inbox.get(timeout=SECONDS)
    finally:
        lane.stop()
    assert isinstance(settled, Settled)
    assert started == 0.0


@pytest.mark.scenario("L9", "B16")
def test_a_process_whose_step_does_not_end_is_retired_also_while_the_database_refuses(
    worker: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    [run] = claimed(worker.id, "atomic", "nothing")
    run.started = time.monotonic() - 3600
    retired: list[bool] = []
    store = SimpleNamespace(using=get_store().using, commit=refuse)
    drain: Any = SimpleNamespace(store=store, engines={}, runs=[run], retire=lambda: retired.append(True))
    monkeypatch.setattr("runtime.worker.execute.time_limit", lambda run: 1.0)
    with pytest.raises(DatabaseError):
        Housekeeping(drain, worker.id)._watch()
    assert retired


@pytest.mark.scenario("L4", "L9")
def test_a_step_that_was_cancelled_and_does_not_end_either_retires_its_process(
    worker: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    [run] = claimed(worker.id, "atomic", "nothing")
    run.started = time.monotonic() - 3600
    run.lost = True
    retired: list[bool] = []
    drain: Any = SimpleNamespace(store=get_store(), engines={}, runs=[run], retire=lambda: retired.append(True))
    monkeypatch.setattr("runtime.worker.execute.time_limit", lambda run: 1.0)
    Housekeeping(drain, worker.id)._watch()
    assert retired
    assert WorkItem.objects.get(pk=run.id).state == State.RUNNING


def refuse(outcomes: object) -> None:
    raise DatabaseError("not now")


@postgres_only
@pytest.mark.scenario("L43")
def test_the_session_of_an_atomic_step_can_be_ended_also_after_a_reconnect(
    worker: Registration, inbox: queue.SimpleQueue[Any]
) -> None:
    lane = AtomicLane(worker.id, get_store(), inbox.put, 1, lambda run, outcome: outcome)
    lane.on_connect = worker.add_session
    try:
        for payload in ("break", "write"):
            lane.submit(claimed(worker.id, "breaks", payload))
            inbox.get(timeout=SECONDS)
        [[pid, _started]] = Worker.objects.get(pk=worker.id).backend_pids
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])
            assert cursor.fetchone() == (1,)
    finally:
        lane.stop()


def test_a_session_that_cannot_be_registered_for_whatever_reason_costs_no_step(
    worker: Registration, inbox: queue.SimpleQueue[Any]
) -> None:
    def fail() -> None:
        raise RuntimeError("not a database error")

    lane = AtomicLane(worker.id, get_store(), inbox.put, 1, lambda run, outcome: outcome)
    lane.on_connect = fail
    try:
        lane.submit(claimed(worker.id, "atomic", "nothing"))
        assert inbox.get(timeout=SECONDS).state == "done"
    finally:
        lane.stop()


@postgres_only
def test_a_link_that_is_opened_again_does_not_wait_for_its_own_lock() -> None:
    link = Link(uuid.uuid4(), get_store().using, lambda payload: None)
    again = threading.Thread(target=link.open, daemon=True)
    link.open()
    again.start()
    again.join(timeout=SECONDS)
    assert not again.is_alive()
    link.close()


def test_a_worker_whose_registration_was_written_but_not_answered_registers_again(worker: Registration) -> None:
    worker.enter()
    assert Worker.objects.filter(pk=worker.id).count() == 1
