"""What a worker does between its steps: whom it wakes, what it lets go of, and when it may end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.asks import Approval
from runtime.choices import State
from runtime.engine import Complete, Engine, Item, Snapshot
from runtime.models import Event, Lease, ResourceClaim, Wait, WorkItem
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
    run = drain.runs[claimed.id] = Run(claimed, drain.engines[claimed.engine])
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
    assert run.id not in drain.runs


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
    assert run.id not in drain.runs
