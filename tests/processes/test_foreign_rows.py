"""What stands in django-q2's own tables is a product's cluster's to read: Roost's workers run none of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.db import connection  # noqa: F401 - named in the mark
from django_q.models import OrmQ, Schedule
from django_q.signing import SignedPackage

from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from tests.factories import now
from tests.processes.conftest import StartFleet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="what reads no row reads none in any database"),
]


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def test_hostile_rows_in_django_q2s_tables_are_not_run(fleet: StartFleet, tmp_path: Path) -> None:
    unpickled, called, scheduled = (tmp_path / name for name in ("unpickled", "called", "scheduled"))
    task = {
        "id": "1" * 32,
        "name": "hostile",
        "func": "os.mkdir",
        "args": (str(called),),
        "kwargs": {},
        "started": now(),
    }
    for payload in (SignedPackage.dumps(Hostile(unpickled)), SignedPackage.dumps(task)):
        OrmQ.objects.create(key="roost", payload=payload, lock=now(-60))
    Schedule.objects.create(func="os.mkdir", args=repr((str(scheduled),)), schedule_type=Schedule.MINUTES, minutes=1)
    Schedule.objects.update(next_run=now(-60))
    workers = fleet()
    workers.start()
    item = enqueue("hop", {"steps": 3}).pk
    workers.wait(20, lambda: WorkItem.objects.get(pk=item).state == "done", "an item of Roost's own")
    workers.stop()
    assert [path.name for path in (unpickled, called, scheduled) if path.exists()] == []
    assert (OrmQ.objects.count(), Schedule.objects.get().task) == (2, None)
    # The first of them would have done it, had anybody read it.
    SignedPackage.loads(OrmQ.objects.order_by("pk")[0].payload)
    assert unpickled.is_dir()
