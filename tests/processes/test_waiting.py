"""Waits, seen from outside: no worker is held, and what comes is acted on at once, whoever dies meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from runtime.models import Lease, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from runtime.operations.signal import send_signal
from runtime.queries import verify
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in

pytestmark = pytest.mark.slow


def kill_a_holder() -> bool:
    """Kill a worker that holds an item; return whether there was one, or nothing is left to do."""
    lease = Lease.objects.filter(worker__state="online").select_related("worker").first()
    if lease is None:
        return all_in("done", engine="gather")()
    with contextlib.suppress(ProcessLookupError):
        os.kill(lease.worker.pid, signal.SIGKILL)
    return True


@pytest.mark.scenario("S13", "S7")
def test_a_timer_children_and_a_signal_are_acted_on_at_once(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start("--processes", "2", "--concurrency", "4")
    item = enqueue("gather", {"kids": 10, "engine": "hop"}).pk
    took = workers.wait(10, all_in("done", engine="hop"), "the children")
    took += workers.wait(10, lambda: WorkItem.objects.get(pk=item).reason == "signal", "the wait for the signal")
    assert took < 8
    assert not Lease.objects.exists()
    send_signal("word", "go", item=item)
    assert workers.wait(5, all_in("done", pk=item), "the end") < 2
    assert WorkItem.objects.get(pk=item).result == {"kids": ["done"] * 10, "word": "go"}
    assert list(verify.everything()) == []


@pytest.mark.scenario("S13", "L5")
def test_families_survive_their_workers(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start("--processes", "2")
    enqueue_many([{"engine": "gather", "payload": {"kids": 5, "engine": "write"}} for _ in range(6)])
    for number in range(6):
        send_signal("word", number)
    for _ in range(3):
        workers.wait(15, kill_a_holder, "a worker at work")
    workers.wait(60, all_in("done", engine="gather"), "the families")
    assert WorkItem.objects.count() == 36
    words = [item.result["word"] for item in WorkItem.objects.filter(engine="gather")]
    assert sorted(words) == list(range(6))
    assert list(verify.everything()) == []
