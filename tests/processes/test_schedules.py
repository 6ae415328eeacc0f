"""Schedules under real workers: on time, and each time once, whoever is killed."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import random
import signal
from contextlib import suppress

import psutil
import pytest

from runtime.models import Schedule, Worker, WorkItem
from runtime.operations.schedules import set_schedule
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet, all_in, pause

pytestmark = pytest.mark.slow

FIRINGS = 20
FAR_TOO_LATE = 10
"""Seconds. Workers look every second, however busy the machine; a scheduler that sleeps for half a minute is seen."""
WORK = {"steps": 1}


def intended() -> list[dt.datetime]:
    """Return the intended times of all items, in order."""
    return sorted(dt.datetime.fromisoformat(item.payload["at"]) for item in WorkItem.objects.all())


def assert_each_once(schedule: Schedule, count: int) -> None:
    times = intended()
    assert len(times) >= count
    assert times == [schedule.next_run + dt.timedelta(seconds=number) for number in range(len(times))]  # type: ignore[operator]


def kill_someone(workers: Fleet, turn: int) -> None:
    """Kill a worker; every fourth time the sentinel, with which all of its workers end, and start anew."""
    if turn % 4:
        victims = list(Worker.objects.exclude(state="offline").values_list("pid", flat=True))
        with suppress(ProcessLookupError):
            if victims:
                os.kill(random.choice(victims), signal.SIGKILL)
        return
    command = workers.commands[-1]
    for child in psutil.Process(command.pid).children():
        child.kill()
    command.wait(timeout=20)
    workers.launch("runworker", "--processes", "2")


@pytest.mark.scenario("S9", "B13")
def test_twenty_firings_while_workers_and_the_sentinel_are_killed_happen_once_each(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start("--processes", "2")
    made = set_schedule("pulse", engine="hop", payload=WORK, every=1, catch_up="all", time_field="at")
    for turn in itertools.count(1):
        if Schedule.objects.get().fired_total >= FIRINGS or turn > 4 * FIRINGS:
            break
        pause(random.uniform(0.3, 1.2))
        kill_someone(workers, turn)
    workers.wait(30, lambda: Schedule.objects.get().fired_total >= FIRINGS, "twenty firings")
    Schedule.objects.update(enabled=False)
    workers.wait(30, all_in("done"), "the end of all of them")
    assert_each_once(made, FIRINGS)
    assert Schedule.objects.get().fired_total == WorkItem.objects.count()


@pytest.mark.scenario("S9")
def test_five_workers_fire_a_schedule_on_time_and_once(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start("--processes", "5")
    made = set_schedule("pulse", engine="hop", payload=WORK, every=1, catch_up="all", time_field="at")
    workers.wait(30, lambda: Schedule.objects.get().fired_total >= 6, "six firings")
    Schedule.objects.update(enabled=False)
    workers.wait(20, all_in("done"), "the end of all of them")
    assert_each_once(made, 6)
    late = sorted(
        (item.created_at - dt.datetime.fromisoformat(item.payload["at"])).total_seconds()
        for item in WorkItem.objects.all()
    )
    assert late[0] >= 0
    assert late[len(late) // 2] < FAR_TOO_LATE


@pytest.mark.scenario("B13", "B12", "F9")
def test_a_worker_whose_clock_is_an_hour_ahead_fires_nothing_early(fleet: StartFleet) -> None:
    workers = fleet()
    workers.environment["ROOST_PROCESS_CLOCK_SKEW"] = "3600"
    if "sqlite" in workers.environment["ROOST_PROCESS_DATABASE_URL"]:
        pytest.skip("SQLite has no clock but the host's")
    workers.start()
    del workers.environment["ROOST_PROCESS_CLOCK_SKEW"]
    workers.start()
    made = set_schedule("pulse", engine="hop", payload=WORK, every=2, catch_up="all", time_field="at")
    workers.wait(30, lambda: Schedule.objects.get().fired_total >= 2, "two firings")
    Schedule.objects.update(enabled=False)
    times = intended()
    assert times == [made.next_run + dt.timedelta(seconds=2 * number) for number in range(len(times))]  # type: ignore[operator]
    for item in WorkItem.objects.all():
        assert item.created_at >= dt.datetime.fromisoformat(item.payload["at"])
