"""Time limits, cancellation and waking, seen from outside."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import pytest
from django.db import connection

from runtime.models import Event, Worker, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.drain_worker import drain_worker, resume_worker
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in, held_by, holder, pause
from tests.processes.tree import eventually

pytestmark = pytest.mark.slow


@pytest.mark.scenario("L4")
def test_a_running_step_hears_of_its_cancellation_at_once(fleet: StartFleet, tmp_path: Path) -> None:
    workers = fleet()
    workers.start()
    note = tmp_path / "note"
    item = enqueue("watchful", {"note": str(note)}).pk
    eventually(10, lambda: note.exists() and note.read_text() == "started", "the step")
    cancel(item, reason="no longer wanted")
    took = workers.wait(5, lambda: note.read_text() == "cancelled", "the step to be told")
    assert took < (1.0 if connection.vendor == "postgresql" else 3.0)
    found = WorkItem.objects.get(pk=item)
    assert (found.state, found.version) == ("cancelled", 0)


@pytest.mark.scenario("L9", "B16")
def test_an_async_step_over_its_time_limit_is_retried_and_then_dead(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start()
    pid = Worker.objects.get().pid
    item = enqueue("sleepy", {}).pk
    workers.wait(15, all_in("failed", pk=item), "the dead letter")
    found = WorkItem.objects.get(pk=item)
    assert (found.reason, found.attempt) == ("attempts_exhausted", 2)
    assert found.last_error["type"] == "StepTimeout"
    assert Worker.objects.get(state="online").pid == pid


@pytest.mark.scenario("L9", "B16")
def test_a_sync_step_that_never_returns_costs_its_process_and_ends_as_a_dead_letter(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start()
    item = enqueue("stubborn", {}).pk
    workers.wait(40, all_in("failed", pk=item), "the dead letter")
    found = WorkItem.objects.get(pk=item)
    assert (found.reason, found.attempt, found.deaths) == ("attempts_exhausted", 2, 0)
    other = enqueue("hop", {"steps": 2}).pk
    workers.wait(15, all_in("done", pk=other), "work after it")


@pytest.mark.scenario("L9")
def test_an_item_over_its_own_timeout_fails_while_it_runs(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start()
    item = enqueue("hop", {"steps": 100, "sleep": 0.2}, item_timeout=1.0).pk
    workers.wait(15, all_in("failed", pk=item), "the dead letter")
    assert WorkItem.objects.get(pk=item).reason == "timeout"


@pytest.mark.scenario("L30")
def test_an_endless_item_ends_at_its_deadline(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start()
    item = enqueue("hop", {"steps": 100_000, "sleep": 0.05}, deadline=dt.timedelta(seconds=1.5)).pk
    workers.wait(15, all_in("failed", pk=item), "the dead letter")
    found = WorkItem.objects.get(pk=item)
    assert found.reason == "deadline"
    assert found.version >= 5


def test_an_operator_can_end_a_worker_through_its_row(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start()
    worker = Worker.objects.get()
    item = enqueue("hop", {"steps": 20, "sleep": 0.2}).pk
    eventually(10, lambda: holder(item) is not None, "the item to run")
    Worker.objects.filter(pk=worker.pk).update(desired_state="offline")
    workers.wait(10, lambda: Worker.objects.get(pk=worker.pk).state == "offline", "its end")
    workers.wait(20, all_in("done", pk=item), "the item's end on the worker that followed")


def test_a_drained_worker_hands_an_item_without_end_to_another_and_takes_nothing_until_it_is_resumed(
    fleet: StartFleet,
) -> None:
    workers = fleet()
    workers.start("--processes", "2")
    item = enqueue("hop", {"steps": 100_000, "sleep": 0.1}).pk
    first = held_by(item)
    drain_worker(first.pk)
    workers.wait(15, lambda: holder(item) not in (None, first), "another worker to take it")
    more = enqueue_many([{"engine": "hop", "payload": {"steps": 3}}] * 20)
    workers.wait(15, all_in("done", pk__in=more), "the end of those that came later")
    assert set(Event.objects.filter(work_item__in=more, kind="claimed").values_list("worker", flat=True)) == {
        held_by(item).pk
    }
    resume_worker(first.pk)
    drain_worker(held_by(item).pk)
    workers.wait(15, lambda: holder(item) == first, "the first worker to take it again")
    assert WorkItem.objects.get(pk=item).deaths == 0
    assert Worker.objects.filter(state="online").count() == 2


@pytest.mark.scenario("B15")
def test_a_step_longer_than_its_lease_runs_once(fleet: StartFleet) -> None:
    workers = fleet(LEASE_SECONDS=2, HEARTBEAT_SECONDS=0.5)
    workers.start("--processes", "2")
    item = enqueue("hop", {"steps": 1, "sleep": 5}).pk
    workers.wait(20, all_in("done", pk=item), "the end")
    assert Event.objects.filter(work_item=item, kind="claimed").count() == 1


@pytest.mark.scenario("L18")
def test_an_idle_worker_starts_a_new_item_at_once(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start()
    waits = []
    for _ in range(15):
        item = enqueue("hop", {"steps": 1}).pk
        workers.wait(5, all_in("done", pk=item), "the end")
        claimed = Event.objects.get(work_item=item, kind="claimed").created_at
        waits.append((claimed - WorkItem.objects.get(pk=item).created_at).total_seconds())
    limit = 0.05 if connection.vendor == "postgresql" else 0.5
    assert sorted(waits)[7] < limit


@pytest.mark.scenario("L18", "B8")
def test_an_item_is_found_when_every_notice_is_lost(fleet: StartFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = fleet()
    workers.start()
    pause(1.2)
    monkeypatch.setattr("runtime.wake.notify", lambda using, payload: None)
    item = enqueue("hop", {"steps": 1}).pk
    workers.wait(5, all_in("done", pk=item), "the end")
    claimed = Event.objects.get(work_item=item, kind="claimed").created_at
    assert (claimed - WorkItem.objects.get(pk=item).created_at).total_seconds() < 1.5


@pytest.mark.scenario("L48")
def test_endless_items_make_room_for_an_urgent_one(fleet: StartFleet) -> None:
    enqueue_many([{"engine": "hop", "payload": {"steps": 100_000, "sleep": 0.01}} for _ in range(50)])
    workers = fleet()
    workers.start("--concurrency", "50")
    eventually(15, lambda: WorkItem.objects.filter(state="running").count() == 50, "fifty to run")
    pause(1.5)
    urgent = enqueue("hop", {"steps": 1}, priority=10).pk
    workers.wait(10, all_in("done", pk=urgent), "the urgent item")
    claimed = Event.objects.get(work_item=urgent, kind="claimed").created_at
    assert (claimed - WorkItem.objects.get(pk=urgent).created_at).total_seconds() < 2


@pytest.mark.scenario("B12", "F9")
def test_a_worker_whose_clock_is_an_hour_off_keeps_every_due_time(fleet: StartFleet) -> None:
    workers = fleet()
    workers.environment["ROOST_PROCESS_CLOCK_SKEW"] = "3600"
    workers.start()
    item = enqueue("hop", {"steps": 3, "delay": 1.0}).pk
    workers.wait(15, all_in("done", pk=item), "the end")
    times = list(Event.objects.filter(work_item=item, kind="step").order_by("seq").values_list("created_at", flat=True))
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(times)]
    assert all(0.95 < gap < 3 for gap in gaps)
    assert holder(item) is None
