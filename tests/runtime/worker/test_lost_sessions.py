"""A database session that is lost while an atomic step runs, or commits, is no failure of the step."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from runtime.choices import State
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.models import Event, Lease, WorkItem
from runtime.models import Snapshot as SnapshotRow
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.retry import RetryPolicy
from runtime.store import get_store
from runtime.worker import atomic, outcomes
from runtime.worker.context import Context
from runtime.worker.drain import MOST_LOSSES, Drain
from runtime.worker.lanes import Settled
from runtime.worker.options import WorkerOptions
from runtime.worker.run import Run
from runtime.worker.stop import StopToken
from tests.ledger.models import Entry
from tests.runtime.worker.cutting import lose_session_at_commit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("F10")]
postgres_only = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no sessions to end")
SECONDS = 20.0
ATTEMPTS = 2


class Cut(Engine):
    """Write a row, and lose the database session in the first `payload` runs of its second step."""

    retry = RetryPolicy(max_attempts=ATTEMPTS, base=0.01, cap=0.01, jitter=0)
    runs = 0

    def init_snapshot(self, item: Item) -> Any:
        return {}

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        Entry.objects.create(item=item.id, number=snapshot.version + 1, pid=0)
        if snapshot.version == 0:
            return Continue({})
        type(self).runs += 1
        if type(self).runs <= item.payload:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return Complete()


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "cut": f"{__name__}.Cut"}
    Cut.runs = 0


def options() -> WorkerOptions:
    return WorkerOptions.defaults(get_store().using, until_idle=True, grace_seconds=1.0)


def worked(losses: int) -> WorkItem:
    """Let a worker run an item whose session is lost so often; return what became of it."""
    item = enqueue("cut", losses)
    with StopToken() as stop:
        overdue = threading.Timer(SECONDS, stop.request)
        overdue.start()
        Drain(options(), stop).run()
        assert not stop.requested, "there is no end to it"
        overdue.cancel()
        overdue.join()
    item.refresh_from_db()
    return item


@postgres_only
@pytest.mark.parametrize("losses", [1, MOST_LOSSES])
def test_a_session_that_is_lost_inside_a_step_costs_no_attempt(losses: int) -> None:
    item = worked(losses)
    assert (item.state, item.attempt, item.deaths, Cut.runs) == (State.DONE, 0, 0, losses + 1)
    assert sorted(Entry.objects.values_list("number", flat=True)) == [1, 2]
    assert not Event.objects.filter(work_item=item, kind__in=["retry", "failed"]).exists()
    assert Event.objects.filter(work_item=item, kind="claimed").count() == 1
    assert list(SnapshotRow.objects.order_by("version").values_list("version", flat=True)) == [0, 1, 2]


@postgres_only
def test_a_step_that_always_ends_its_own_session_ends_as_a_dead_letter() -> None:
    item = worked(10_000)
    assert (item.state, item.reason, item.attempt) == (State.FAILED, "attempts_exhausted", ATTEMPTS)
    assert item.last_error["type"] == "SessionLost"
    assert Cut.runs == ATTEMPTS * (MOST_LOSSES + 1)
    assert list(Entry.objects.values_list("number", flat=True)) == [1]


@pytest.mark.scenario("L40", "F3")
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_a_step_whose_commit_lost_its_session_is_made_once_at_no_cost(
    applied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_session_at_commit(monkeypatch, applied=applied, thread="roost-atomic")
    item = worked(0)
    assert lost == [True]
    assert (item.state, item.version, item.attempt, item.deaths) == (State.DONE, 2, 0, 0)
    assert sorted(Entry.objects.values_list("number", flat=True)) == [1, 2]
    kinds = list(Event.objects.filter(work_item=item).order_by("seq").values_list("kind", flat=True))
    assert kinds == ["enqueued", "claimed", "step", "step", "done"]


@pytest.fixture
def drain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drain]:
    """Return a worker that is registered but whose pump stands still, and whose lanes only note what they are given."""
    with StopToken() as stop:
        drain = Drain(options(), stop)
        drain.crew.registration.enter()
        drain.crew.async_lane.start()
        monkeypatch.setattr(drain.crew, "submit", lambda runs: drain.inbox.put([run.id for run in runs]))
        yield drain
        drain.crew.async_lane.stop()
        drain.crew.registration.leave()


def take(drain: Drain) -> Run:
    enqueue("cut", 0)
    [claimed] = drain.store.claim(drain.request(1))
    run = Run(claimed, drain.engines[claimed.engine])
    drain.runs.add(run)
    run.data = "{}"
    run.started = time.monotonic()
    return run


def committing(drain: Drain, run: Run) -> Settled:
    """Return the message of a step whose commit was cut off."""
    outcome = outcomes.settle(drain.worker, run, Context(run, drain.store.using), Complete(), None)
    return Settled(run, outcome, None, doubt=atomic.InDoubt(outcome))


@pytest.mark.scenario("L40", "F3")
def test_a_commit_that_was_cut_off_and_not_applied_is_made_again_at_no_cost(drain: Drain) -> None:
    run = take(drain)
    for _ in range(MOST_LOSSES):
        drain._handle([committing(drain, run)])
        assert drain.inbox.get_nowait() == [run.id]
    item = WorkItem.objects.get()
    assert (item.state, item.attempt, item.version) == (State.RUNNING, 0, 0)
    drain._handle([committing(drain, run)])
    item.refresh_from_db()
    assert (item.state, item.attempt, drain.inbox.empty()) == (State.QUEUED, 1, True)


@pytest.mark.scenario("L40", "F3")
def test_a_commit_that_was_cut_off_and_applied_is_not_made_again(drain: Drain) -> None:
    run = take(drain)
    message = committing(drain, run)
    assert message.outcome is not None
    drain.store.commit([message.outcome])
    drain._handle([message])
    item = WorkItem.objects.get()
    assert (item.state, item.attempt, item.version, drain.inbox.empty()) == (State.DONE, 0, 1, True)


@pytest.mark.scenario("L4", "L26")
def test_an_item_that_was_taken_away_while_its_session_was_lost_is_not_run_again(drain: Drain) -> None:
    run = take(drain)
    cancel(run.id)
    failure = outcomes.fail(drain.worker, run, atomic.SessionLost("gone"))
    drain._handle([Settled(run, failure, None, doubt=atomic.SessionLost("gone"))])
    assert (WorkItem.objects.get().state, WorkItem.objects.get().attempt) == (State.CANCELLED, 0)
    assert drain.inbox.empty()
    assert run not in drain.runs
    assert not Lease.objects.exists()
