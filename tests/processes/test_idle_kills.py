"""Idle workers that are killed: new work still starts at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from contextlib import suppress

import psutil
import pytest

from runtime.operations.enqueue import enqueue
from tests.processes.assertions import assert_each_step_once, assert_nothing_left_over
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in

pytestmark = pytest.mark.slow

AIDES = 2


def sentinels_children(command: subprocess.Popen[bytes]) -> set[int]:
    """Return the process ids of the workers, the pusher and the monitor that are alive."""
    alive = set()
    for child in psutil.Process(command.pid).children()[0].children():
        with suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                alive.add(child.pid)
    return alive


@pytest.mark.scenario("L39")
def test_work_goes_on_after_idle_workers_were_killed_fifty_times(fleet: StartFleet) -> None:
    workers = fleet()
    command = workers.start("--processes", "2")
    # The pool is forked first, then the pusher and the monitor.
    pool = sorted(sentinels_children(command))[:2]
    aides = sentinels_children(command) - set(pool)
    assert len(aides) == AIDES
    ids, took = [], []
    for _ in range(50):
        victims = list(sentinels_children(command) - aides)
        # Both of them now and then: then nobody is left who could hide a slot that never comes back.
        for victim in random.sample(victims, k=random.choice([1, 1, 2]) if len(victims) > 1 else len(victims)):
            os.kill(victim, signal.SIGKILL)
        item = enqueue("hop", {"steps": 1}).pk
        ids.append(item)
        took.append(workers.wait(15, all_in("done", pk=item), "an item enqueued after a kill"))
    assert sorted(took)[47] < 2
    assert sentinels_children(command) >= aides
    workers.wait(5, lambda: len(sentinels_children(command)) == AIDES + 2, "a full pool")
    assert_each_step_once(ids, 1)
    assert_nothing_left_over()
