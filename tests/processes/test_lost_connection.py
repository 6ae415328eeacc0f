"""The connections of a worker die while a step is in a long call: the step's commit gets new ones, and calls once."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from runtime.models import Event, JournalEntry, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries import verify
from tests.ledger.models import Entry
from tests.processes.assertions import assert_nothing_left_over
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in

pytestmark = pytest.mark.slow

# What a pooler does that restarts or loses its server: every session of the worker ends, the test's own does not.
END_ALL = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def end_sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute(END_ALL)
        return int(cursor.fetchone()[0])


@pytest.mark.scenario("B14", "F10")
@pytest.mark.parametrize("engine", ["longcaller", "atomiclongcaller"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_connection_lost_during_a_long_call_costs_no_second_call(
    fleet: StartFleet, tmp_path: Path, engine: str, times: int
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no sessions that end")
    outside = tmp_path / "outside"
    item = enqueue(engine, {"outside": str(outside)})
    workers = fleet()
    workers.start("--processes", "1")
    workers.wait(20, outside.exists, "the call")
    for _ in range(times):
        workers.wait(20, lambda: end_sessions() > 0, "sessions to end")
    Path(f"{outside}.go").touch()
    workers.wait(30, all_in("done", pk=item.pk), "the commit")
    found = WorkItem.objects.get(pk=item.pk)
    assert (found.result, found.version) == ({"said": "yes"}, 1)
    assert outside.read_text().splitlines() == [f"{item.pk}:1:model"], "the call was made again"
    call = JournalEntry.objects.get(work_item=item.pk)
    assert (call.state, call.attempts) == ("succeeded", 1)
    assert not Event.objects.filter(work_item=item.pk, kind__in=["recovered", "in_doubt"]).exists()
    if engine == "longcaller":
        assert found.epoch == 1
        assert not Event.objects.filter(work_item=item.pk, kind="retry").exists()
    else:
        assert Entry.objects.filter(item=item.pk).count() == 1
    assert list(verify.everything()) == []
    workers.stop()
    assert_nothing_left_over()
