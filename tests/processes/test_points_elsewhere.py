"""Real processes killed at the named points that the tutorial's run never passes; nothing is lost, nothing is doubled.

`test_refund.py` has the others. Workers die in their turn of the work, and others go on; commands of an operator die in
the middle, and are given again.
"""

from __future__ import annotations

import datetime as dt
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from runtime import faults
from runtime.choices import TERMINAL
from runtime.models import Event, Schedule, Signal, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.requeue import requeue
from runtime.operations.schedules import set_schedule
from runtime.queries import verify
from tests.processes.assertions import assert_each_step_once, assert_nothing_left_over
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet, all_in, holder
from tests.processes.test_schedules import assert_each_once

pytestmark = pytest.mark.slow

either_side = pytest.mark.parametrize("side", faults.SIDES)
PENDING = {"cancel": "queued", "requeue": "queued", "redrive": "failed"}
MOVED = {"cancel": "cancelled", "requeue": "queued", "redrive": "queued"}


@pytest.fixture
def workers(fleet: StartFleet) -> Iterator[Fleet]:
    """Give a fleet; after the test, everything that it ran has ended and fits together."""
    made = fleet()
    yield made
    assert set(WorkItem.objects.values_list("state", flat=True)) <= TERMINAL
    assert_nothing_left_over()
    assert list(verify.everything()) == []


@pytest.fixture
def died(tmp_path: Path) -> Path:
    """Name the file that exists once a process has been killed."""
    return tmp_path / "died"


def arm(workers: Fleet, point: str, died: Path, nth: int = 1) -> None:
    """Have one of the processes started from now on killed at that point."""
    workers.environment[faults.VARIABLE] = f"{point}:kill:{nth}:{died}"


def roost(workers: Fleet, *arguments: str) -> int:
    """Give a command; return its exit code, which is negative for a signal."""
    return workers.launch("roost", *arguments).wait(timeout=30)


def roost_twice(workers: Fleet, point: str, died: Path, *arguments: str) -> int:
    """Give a command that is killed at the point, then once more; return the second exit code."""
    arm(workers, point, died)
    assert roost(workers, *arguments) == -signal.SIGKILL
    assert died.exists()
    return roost(workers, *arguments)


@pytest.mark.scenario("L5", "L16")
@either_side
def test_rows_and_snapshot_of_an_atomic_step_agree(workers: Fleet, died: Path, side: str) -> None:
    item = enqueue("write", {"steps": 3}).pk
    arm(workers, f"atomic.{side}", died, 2)
    workers.start()
    workers.wait(20, all_in("done"), "the end")
    assert died.exists()
    assert_each_step_once([item], 3, rows=True)
    assert Event.objects.filter(work_item=item, kind="recovered").count() == 1


@pytest.mark.scenario("L4", "L5")
@pytest.mark.parametrize("verb", ["cancel", "requeue"])
@either_side
def test_the_resource_of_a_step_that_was_taken_away_is_free_for_the_next(
    workers: Fleet, died: Path, side: str, verb: str
) -> None:
    arm(workers, f"acknowledge.{side}", died)
    workers.start()
    taken = enqueue("hop", {"steps": 2, "sleep": 1.5}, resources=["desk"]).pk
    workers.wait(10, lambda: holder(taken) is not None, "the step")
    (cancel if verb == "cancel" else requeue)(taken)
    following = enqueue("hop", {"steps": 2}, resources=["desk"]).pk
    workers.wait(30, lambda: set(WorkItem.objects.values_list("state", flat=True)) <= TERMINAL, "the end of both")
    assert died.exists()
    assert_each_step_once([following, *([taken] if verb == "requeue" else [])], 2)


@pytest.mark.scenario("L35")
@either_side
def test_what_a_stopping_worker_was_giving_back_is_done_by_the_next(workers: Fleet, died: Path, side: str) -> None:
    arm(workers, f"release.{side}", died)
    command = workers.start("--grace", "0")
    item = enqueue("hop", {"steps": 2, "sleep": 1.0}, resources=["desk"]).pk
    workers.wait(10, lambda: holder(item) is not None, "the step")
    command.send_signal(signal.SIGTERM)
    command.wait(timeout=15)
    assert died.exists()
    workers.start()
    workers.wait(30, all_in("done"), "the end")
    assert_each_step_once([item], 2)


@pytest.mark.scenario("L5")
def test_who_dies_while_taking_over_is_followed_by_a_third(workers: Fleet, died: Path) -> None:
    first = workers.start()
    item = enqueue("write", {"steps": 3, "sleep": 0.7}).pk
    workers.wait(10, lambda: WorkItem.objects.get(pk=item).version == 1, "a step")
    first.kill()
    first.wait()
    arm(workers, "sweep.after", died)
    workers.start()
    workers.wait(30, all_in("done"), "the end")
    assert died.exists()
    assert_each_step_once([item], 3, rows=True)


@pytest.mark.scenario("S9")
@either_side
def test_a_schedule_fires_each_time_once(workers: Fleet, died: Path, side: str) -> None:
    arm(workers, f"fire.{side}", died, 2)
    made = set_schedule("pulse", engine="hop", payload={"steps": 1}, every=1, catch_up="all", time_field="at")
    workers.start()
    workers.wait(30, lambda: Schedule.objects.get().fired_total >= 3, "three firings")
    Schedule.objects.update(enabled=False)
    workers.wait(20, all_in("done"), "the end of all of them")
    assert died.exists()
    assert_each_once(made, 3)


@pytest.mark.parametrize("verb", list(MOVED))
@either_side
def test_an_operators_move_is_made_whole_or_not_at_all(workers: Fleet, died: Path, side: str, verb: str) -> None:
    item = enqueue("hop", {"steps": 1}, delay=3600)
    if verb == "redrive":
        WorkItem.objects.filter(pk=item.pk).update(deadline_at=timezone.now() - dt.timedelta(seconds=1))
        assert roost(workers, "sweep") == 0
    before = _place(item)
    assert before[0] == PENDING[verb]
    arm(workers, f"move.{side}", died)
    assert roost(workers, verb, str(item.pk)) == -signal.SIGKILL
    assert list(verify.everything()) == []
    assert (_place(item) == before) == (side == "before")
    assert roost(workers, verb, str(item.pk)) == (0 if side == "before" else 1)
    state, _run_at, events = _place(item)
    assert (state, events) == (MOVED[verb], before[2] + 1)
    workers.launch("runworker", "--until-idle").wait(timeout=30)
    item.refresh_from_db()
    assert item.state == ("cancelled" if verb == "cancel" else "done")


def _place(item: WorkItem) -> tuple[str, dt.datetime, int]:
    """Return the state, the due time and the number of events."""
    item.refresh_from_db()
    return item.state, item.run_at, Event.objects.filter(work_item=item).count()


@pytest.mark.scenario("S13")
@either_side
def test_a_signal_sent_again_under_its_delivery_id_is_consumed_once(workers: Fleet, died: Path, side: str) -> None:
    items = [enqueue("gather", {"kids": 0, "engine": "hop"}).pk for _ in range(2)]
    workers.start()
    workers.wait(20, lambda: WorkItem.objects.filter(reason="signal").count() == 2, "both waits")
    told = ("signal", "word", "--payload", '"go"', "--delivery-id", "d-1")
    assert roost_twice(workers, f"signal.{side}", died, *told) == 0
    workers.wait(20, lambda: WorkItem.objects.filter(state="done").count() == 1, "the end of one")
    [kept] = Signal.objects.all()
    assert kept.payload == "go"
    assert roost(workers, *told) == 0
    [other] = WorkItem.objects.exclude(state="done")
    assert (other.state, other.reason, Signal.objects.count()) == ("waiting", "signal", 1)
    cancel(other.pk)
    assert WorkItem.objects.filter(pk__in=items, state="done").count() == 1


@pytest.mark.scenario("L31")
@either_side
def test_an_item_enqueued_again_under_its_key_is_one(workers: Fleet, died: Path, side: str) -> None:
    told = ("enqueue", "--engine", "hop", "--payload", '{"steps": 1}', "--idempotency-key", "order-7")
    assert roost_twice(workers, f"insert.{side}", died, *told) == 0
    workers.launch("runworker", "--until-idle").wait(timeout=30)
    [item] = WorkItem.objects.all()
    assert_each_step_once([item.pk], 1)
