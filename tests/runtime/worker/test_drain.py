"""What a worker does between its steps: whom it wakes, what it lets go of, and when it may end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

from runtime.asks import Approval
from runtime.choices import State, WorkerState
from runtime.engine import Complete, Continue, Engine, Item, Snapshot
from runtime.exceptions import RoostError
from runtime.models import Event, Lease, ResourceClaim, Wait, Worker, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.step import StepContext, Suspend
from runtime.store import get_store
from runtime.tasks import drain_here
from runtime.worker import outcomes
from runtime.worker.atomic import InDoubt
from runtime.worker.context import Context
from runtime.worker.drain import Drain
from runtime.worker.lanes import Finished, Settled
from runtime.worker.options import WorkerOptions
from runtime.worker.run import Run
from runtime.worker.stop import StopToken
from tests.factories import now

pytestmark = pytest.mark.django_db(transaction=True)


class Parent(Engine):
    """Spawn a child with the last step."""

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        ctx.spawn("hop", {"steps": 1})
        return Complete()


@pytest.fixture(autouse=True)
def patient(settings: Any) -> None:
    """Let a worker that is not woken sleep for longer than any of these tests takes."""
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "parent": f"{__name__}.Parent"}
    settings.ROOST_POLL_SECONDS = settings.ROOST_SQLITE_POLL_SECONDS = 60.0


def options() -> WorkerOptions:
    return WorkerOptions.defaults(get_store().using, until_idle=True, grace_seconds=1.0)


@pytest.fixture
def drain() -> Iterator[Drain]:
    """Return a worker that is registered but whose pump stands still."""
    with StopToken() as stop:
        drain = Drain(options(), stop)
        drain.crew.registration.enter()
        drain.crew.async_lane.start()
        yield drain
        drain.crew.async_lane.stop()
        drain.crew.registration.leave()


def take(drain: Drain) -> Run:
    [claimed] = drain.store.claim(drain.request(1))
    run = Run(claimed, drain.engines[claimed.engine])
    drain.runs.add(run)
    run.data = "{}"
    run.started = time.monotonic()
    return run


def events(item: uuid.UUID, kind: str) -> Any:
    return Event.objects.get(work_item=item, kind=kind).created_at


@pytest.mark.scenario("L29", "B8")
def test_who_waits_for_a_resource_gets_it_as_soon_as_it_is_free() -> None:
    items = [enqueue("hop", {"steps": 1, "sleep": 0.3}, resources=["gpu"]).pk for _ in range(2)]
    drain_here(options())
    assert set(WorkItem.objects.values_list("state", flat=True)) == {State.DONE}
    first, second = sorted(items, key=lambda item: events(item, "claimed"))
    assert Event.objects.filter(work_item=second, kind="parked").exists()
    assert (events(second, "claimed") - events(first, "done")).total_seconds() < 0.5


@pytest.mark.scenario("B8")
def test_a_worker_is_not_idle_while_a_child_it_has_just_spawned_is_due() -> None:
    enqueue("parent", None)
    drain_here(options())
    assert list(WorkItem.objects.order_by("created_at").values_list("engine", "state")) == [
        ("parent", State.DONE),
        ("hop", State.DONE),
    ]


@pytest.mark.scenario("L4", "L29")
def test_a_write_that_was_fenced_off_frees_what_the_item_held(drain: Drain) -> None:
    item = enqueue("hop", {"steps": 1}, resources=["gpu"])
    run = take(drain)
    outcome = outcomes.settle(drain.worker, run, Context(run, drain.store.using), Complete(), None)
    cancel(item.pk)
    assert ResourceClaim.objects.filter(held=True).exists()
    drain._handle([Finished(run, outcome)])
    assert not ResourceClaim.objects.exists()
    assert not Lease.objects.exists()
    assert run not in drain.runs


@pytest.mark.scenario("L40")
@pytest.mark.parametrize("applied", [True, False], ids=["applied", "not applied"])
def test_an_item_whose_parking_was_in_doubt_waits_once_at_no_cost_of_an_attempt(drain: Drain, applied: bool) -> None:
    item = enqueue("write", {"steps": 1})
    run = take(drain)
    pause = Suspend([Approval("plan")], "all")
    outcome = outcomes.suspend(drain.worker, run, Context(run, drain.store.using), pause)
    if applied:
        drain.store.commit([outcome])
    drain._handle([Settled(run, outcome, None, doubt=InDoubt(outcome))])
    found = WorkItem.objects.get(pk=item.pk)
    assert (found.state, found.attempt, found.version) == (State.WAITING, 0, 0)
    assert Wait.objects.get(work_item=item).state == "open"
    assert Event.objects.filter(work_item=item, kind="asked").count() == 1
    assert not Lease.objects.exists()
    assert run not in drain.runs


@pytest.mark.scenario("L9", "L29")
@pytest.mark.parametrize("ends", [True, False])
def test_what_a_step_uses_that_does_not_end_in_time_stays_its_own(
    drain: Drain, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = enqueue("hop", {"steps": 1}, resources=["gpu"])
    run = take(drain)
    if ends:
        monkeypatch.setattr(drain.crew, "cancel", lambda run: setattr(run, "started", 0.0))
    drain._let_go()
    item.refresh_from_db()
    assert (item.state, item.epoch, item.attempt, item.deaths) == (State.QUEUED, 2, 0, 0)
    kept = ResourceClaim.objects.filter(work_item=item, held=True).exists()
    assert (kept, Lease.objects.exclude(revoked_at=None).exists(), drain.lingering) == (
        (False,) * 3 if ends else (True,) * 3
    )
    assert not drain.runs
    assert run.lost


@pytest.mark.scenario("L9", "B16")
def test_the_watchdog_leaves_a_step_what_it_uses(drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    item = enqueue("hop", {"steps": 1}, resources=["gpu"])
    run = take(drain)
    run.started -= 3600
    monkeypatch.setattr("runtime.worker.execute.time_limit", lambda run: 1.0)
    drain.crew.housekeeping._watch()
    item.refresh_from_db()
    assert (item.state, item.attempt, drain.retired, drain.lingering) == (State.QUEUED, 1, True, True)
    assert ResourceClaim.objects.filter(work_item=item, held=True).exists()
    drain._let_go()
    assert ResourceClaim.objects.filter(work_item=item, held=True).exists()


@pytest.mark.scenario("L4", "L9")
def test_a_step_whose_item_was_taken_away_keeps_what_it_uses_until_it_ends(drain: Drain) -> None:
    old, plain = enqueue("hop", {"steps": 1}, resources=["gpu"]), enqueue("hop", {"steps": 1})
    runs = {run.id: run for run in (take(drain), take(drain))}
    cancel(old.pk), cancel(plain.pk)
    for run in runs.values():
        run.lost = True
    Lease.objects.update(expires_at=now(1))
    drain.crew.housekeeping._beat_at = 0.0
    drain.crew.housekeeping._beat()
    assert [lease.pk for lease in Lease.objects.filter(expires_at__gt=now(5))] == [old.pk], (
        "who uses nothing needs none"
    )
    runs[old.pk].started = 0.0
    Lease.objects.update(expires_at=now(1))
    drain.crew.housekeeping._beat_at = 0.0
    drain.crew.housekeeping._beat()
    assert not Lease.objects.filter(expires_at__gt=now(5)).exists()


def test_a_worker_whose_step_lingers_does_not_say_that_it_is_off(drain: Drain, monkeypatch: pytest.MonkeyPatch) -> None:
    for helper in (drain.crew.sweeper, drain.crew.housekeeping, drain.crew.async_lane):
        monkeypatch.setattr(helper, "stop", lambda: None)
    for lingering, state in ((True, WorkerState.ONLINE), (False, WorkerState.OFFLINE)):
        drain.crew.close(lingering=lingering)
        assert Worker.objects.get(pk=drain.worker).state == state


def test_a_worker_that_is_told_to_drain_gives_its_items_back_after_their_step_and_claims_none(drain: Drain) -> None:
    enqueue("hop", {"steps": 9}), enqueue("hop", {"steps": 9})
    run = take(drain)
    outcome = outcomes.settle(drain.worker, run, Context(run, drain.store.using), Continue({}), None)
    assert drain.shape(run, outcome).state == State.RUNNING
    drain.crew.housekeeping.desired_state = WorkerState.DRAINING
    drain._handle([Finished(run, drain.shape(run, outcome))])
    drain._take_work()
    assert not drain.runs
    assert set(WorkItem.objects.values_list("state", "attempt", "deaths")) == {(State.QUEUED, 0, 0)}
    assert not Lease.objects.exists()
    drain.crew.housekeeping.desired_state = WorkerState.ONLINE
    drain._take_work()
    assert len(drain.runs) == 2


def test_a_command_without_its_tables_says_what_makes_them_and_a_pool_waits_for_them(
    drain: Drain, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def enter() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM roost_gone")

    monkeypatch.setattr(drain.crew.registration, "enter", enter)
    with pytest.raises(RoostError, match=r"roost_gone.*migrate --database default"):
        drain.crew.open()
    drain.options = replace(drain.options, until_idle=False)
    drain.stop.request()
    assert not drain.crew.open()
    assert "Run `manage.py migrate --database default`." in caplog.text
