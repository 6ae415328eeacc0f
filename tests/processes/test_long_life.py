"""One item that makes a great many steps."""

from __future__ import annotations

import psutil
import pytest
from django.db.models import Max, Min

from runtime.models import Event, Snapshot, WorkItem
from runtime.operations.enqueue import enqueue
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in, holder

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

STEPS, EARLY = 5_000, 1_000
MIB = 1024 * 1024


@pytest.mark.scenario("L34")
def test_thousands_of_steps_of_one_item_leave_no_gap_and_add_no_memory(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start()
    item = enqueue("hop", {"steps": STEPS}).pk
    workers.wait(60, lambda: WorkItem.objects.get(pk=item).version >= EARLY, "the first steps")
    owner = holder(item)
    assert owner is not None
    process = psutil.Process(owner.pid)
    early = process.memory_info().rss
    workers.wait(90, all_in("done", pk=item), "the end")
    assert process.memory_info().rss - early < 4 * MIB
    snapshots = Snapshot.objects.filter(work_item=item).aggregate(first=Min("version"), last=Max("version"))
    assert snapshots == {"first": 0, "last": STEPS}
    assert Snapshot.objects.filter(work_item=item).count() == STEPS + 1
    last = WorkItem.objects.get(pk=item).event_seq
    assert Event.objects.filter(work_item=item).count() == last
