"""What is left of the work when processes die: all of it, once."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from django.db import connection

from runtime.models import Event, Lease, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from tests.ledger.models import Entry
from tests.processes.assertions import assert_each_step_once, assert_nothing_left_over
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in, holder, kill_holder, pause
from tests.processes.tree import eventually

pytestmark = pytest.mark.slow


@pytest.mark.scenario("L1", "L5")
def test_a_worker_killed_in_the_middle_of_a_step_is_followed_by_another(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start("--processes", "2")
    item = enqueue("hop", {"steps": 6, "sleep": 0.3}).pk
    workers.wait(10, lambda: WorkItem.objects.get(pk=item).version >= 2, "two steps")
    killed = kill_holder(item)
    workers.wait(15, all_in("done", pk=item), "the end")
    assert_each_step_once([item], 6)
    assert_nothing_left_over()
    recovered = Event.objects.get(work_item=item, kind="recovered")
    after = Event.objects.filter(work_item=item, kind="claimed", seq__gt=recovered.seq).first()
    assert after is not None
    assert after.worker != killed.pk
    assert (after.created_at - recovered.created_at).total_seconds() < 2
    assert WorkItem.objects.get(pk=item).deaths == 0


@pytest.mark.scenario("L5")
def test_rows_of_an_atomic_step_that_was_killed_are_gone_and_written_again_once(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start("--processes", "2")
    item = enqueue("write", {"steps": 4, "sleep": 0.4}).pk
    workers.wait(10, lambda: WorkItem.objects.get(pk=item).version >= 1, "a step")
    kill_holder(item)
    workers.wait(15, all_in("done", pk=item), "the end")
    assert_each_step_once([item], 4, rows=True)
    assert_nothing_left_over()


@pytest.mark.scenario("L16")
def test_five_hundred_items_on_four_workers_record_each_step_once(fleet: StartFleet) -> None:
    ids = enqueue_many([{"engine": "hop", "payload": {"steps": 2}} for _ in range(400)])
    rows = enqueue_many([{"engine": "write", "payload": {"steps": 2}} for _ in range(100)])
    workers = fleet()
    workers.start("--processes", "4")
    workers.wait(60, all_in("done"), "the load")
    assert Entry.objects.count() == 200
    assert_each_step_once(random.sample(ids, 40), 2)
    assert_each_step_once(random.sample(rows, 20), 2, rows=True)
    assert Event.objects.filter(kind="step").count() == 1000
    assert_nothing_left_over()


@pytest.mark.scenario("L16", "B17")
def test_a_load_survives_a_worker_killed_every_second(fleet: StartFleet) -> None:
    ids = enqueue_many([{"engine": "hop", "payload": {"steps": 20, "sleep": 0.05}} for _ in range(200)])
    workers = fleet()
    workers.start("--processes", "2", "--concurrency", "6")
    until = time.monotonic() + (20 if connection.vendor == "postgresql" else 6)
    while time.monotonic() < until and not all_in("done")():
        victims = list(Worker.objects.exclude(state="offline").values_list("pid", flat=True))
        if len(victims) > 1:
            try:
                os.kill(random.choice(victims), signal.SIGKILL)
            except ProcessLookupError:
                continue
        pause(1)
    workers.wait(90, all_in("done"), "the load")
    assert_each_step_once(ids, 20)
    assert_nothing_left_over()


@pytest.mark.scenario("L26", "F6")
def test_a_worker_stopped_past_its_lease_writes_nothing_when_it_wakes(fleet: StartFleet) -> None:
    if connection.vendor == "sqlite":
        # There a lease of a process that is alive on this host is never taken: the item simply waits for it.
        return _a_stopped_worker_keeps_its_item_on_sqlite(fleet)
    workers = fleet(LEASE_SECONDS=3, HEARTBEAT_SECONDS=1)
    workers.start()
    item = enqueue("hop", {"steps": 3, "sleep": 1.0}).pk
    # Once a step is committed the next one is running; before, it might be stopped between claiming and running.
    workers.wait(10, lambda: WorkItem.objects.get(pk=item).version == 1, "a step")
    zombie = kill_holder(item, signal.SIGSTOP)
    try:
        workers.start()
        workers.wait(20, all_in("done", pk=item), "the other worker's end")
        events = Event.objects.filter(work_item=item).count()
    finally:
        os.kill(zombie.pid, signal.SIGCONT)
    noticed = ("was taken away", "was fenced off")
    workers.wait(10, lambda: any(words in workers.log.read_text() for words in noticed), "the zombie's own notice")
    pause(1.5)
    assert Event.objects.filter(work_item=item).count() == events
    recovered = Event.objects.get(work_item=item, kind="recovered")
    assert not Event.objects.filter(work_item=item, seq__gt=recovered.seq, worker=zombie.pk).exists()
    assert_each_step_once([item], 3)
    assert_nothing_left_over()
    return None


def _a_stopped_worker_keeps_its_item_on_sqlite(fleet: StartFleet) -> None:
    workers = fleet(LEASE_SECONDS=3, HEARTBEAT_SECONDS=1)
    workers.start()
    item = enqueue("hop", {"steps": 3, "sleep": 1.0}).pk
    stopped = kill_holder(item, signal.SIGSTOP)
    try:
        workers.start()
        pause(5)
        assert holder(item) == stopped
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    workers.wait(10, all_in("done", pk=item), "the end")
    assert_each_step_once([item], 3)


@pytest.mark.scenario("L43")
def test_the_row_locks_of_a_stopped_atomic_step_do_not_block_its_successor(fleet: StartFleet) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one write lock and takes nothing from a living process")
    workers = fleet(LEASE_SECONDS=3, HEARTBEAT_SECONDS=1)
    workers.start()
    item = enqueue("write", {"steps": 2, "sleep": 1.0}).pk
    zombie = kill_holder(item, signal.SIGSTOP)
    try:
        workers.start()
        workers.wait(20, all_in("done", pk=item), "the other worker's end")
    finally:
        os.kill(zombie.pid, signal.SIGCONT)
    pause(1.5)
    assert_each_step_once([item], 2, rows=True)


@pytest.mark.scenario("L35")
def test_sigterm_lets_steps_finish_and_releases_the_rest_without_cost(fleet: StartFleet) -> None:
    workers = fleet()
    command = workers.start("--grace", "2")
    quick = enqueue("hop", {"steps": 50, "sleep": 0.3}).pk
    slow = enqueue("hop", {"steps": 2, "sleep": 30}).pk
    eventually(10, lambda: Lease.objects.count() == 2, "both items to run")
    command.send_signal(signal.SIGTERM)
    assert command.wait(timeout=10) == 0
    for pk in (quick, slow):
        item = WorkItem.objects.get(pk=pk)
        assert (item.state, item.attempt, item.deaths) == ("queued", 0, 0)
    assert WorkItem.objects.get(pk=quick).version >= 1
    assert Worker.objects.get().state == "offline"
    assert_nothing_left_over()


@pytest.mark.scenario("L35", "L38")
def test_a_second_signal_ends_at_once_and_loses_nothing(fleet: StartFleet) -> None:
    workers = fleet()
    command = workers.start("--grace", "60")
    item = enqueue("hop", {"steps": 2, "sleep": 1.5}).pk
    eventually(10, lambda: holder(item) is not None, "the item to run")
    command.send_signal(signal.SIGTERM)
    pause(0.2)
    command.send_signal(signal.SIGTERM)
    command.wait(timeout=3)
    workers.start()
    workers.wait(15, all_in("done", pk=item), "the next worker's end")
    assert_each_step_once([item], 2)


@pytest.mark.scenario("L38")
def test_items_of_a_tree_whose_first_process_was_killed_go_on_elsewhere(fleet: StartFleet) -> None:
    workers = fleet()
    command = workers.start()
    item = enqueue("hop", {"steps": 4, "sleep": 0.5}).pk
    eventually(10, lambda: holder(item) is not None, "the item to run")
    command.kill()
    command.wait()
    workers.start()
    workers.wait(15, all_in("done", pk=item), "the next worker's end")
    assert_each_step_once([item], 4)


@pytest.mark.scenario("L50")
def test_of_fifty_items_only_the_one_that_kills_its_workers_is_quarantined(fleet: StartFleet) -> None:
    neighbours = enqueue_many([{"engine": "hop", "payload": {"steps": 3, "sleep": 0.1}} for _ in range(49)])
    poison = enqueue("poison", {"sleep": 0.15}).pk
    workers = fleet()
    workers.start("--processes", "2")
    workers.wait(90, all_in("failed", pk=poison), "the quarantine")
    workers.wait(30, all_in("done", engine="hop"), "the neighbours")
    assert WorkItem.objects.get(pk=poison).reason == "poison"
    assert_each_step_once(neighbours, 3)
