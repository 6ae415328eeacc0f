"""Items of which not every snapshot is kept are resumed as all others are, whoever is killed."""

from __future__ import annotations

import uuid
from contextlib import suppress
from functools import partial

import pytest

from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries import verify
from tests.contracts.builders import versions
from tests.ledger.models import Entry
from tests.processes.assertions import assert_nothing_left_over
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in, kill_holder

pytestmark = pytest.mark.slow

STEPS = 12
LEFT = {
    "hop": list(range(STEPS + 1)),
    "hopsparse": [0, 3, 6, 9, 12],
    "hopcompact": [12],
    "write": list(range(STEPS + 1)),
    "writecompact": [12],
}


def _has_made_two_steps(item: uuid.UUID) -> bool:
    return WorkItem.objects.get(pk=item).version >= 2


@pytest.mark.scenario("S14")
def test_every_policy_resumes_as_full_does_after_sigkill(fleet: StartFleet) -> None:
    workers = fleet()
    workers.start("--processes", "2")
    items = {}
    for engine in LEFT:
        # One after the other: the last would have ended before its worker's turn to die.
        item = items[engine] = enqueue(engine, {"steps": STEPS, "sleep": 0.2}).pk
        workers.wait(20, partial(_has_made_two_steps, item), "two steps")
        # Its holder may have been killed just now, for the item before.
        with suppress(ProcessLookupError):
            kill_holder(item)
    workers.wait(40, all_in("done"), "the end of all of them")
    assert Event.objects.filter(kind="recovered").exists()
    for engine, item in items.items():
        assert versions(item) == LEFT[engine]
        assert WorkItem.objects.get(pk=item).result == {"n": STEPS}
        assert Event.objects.filter(work_item=item, kind="step").count() == STEPS
    numbers = sorted(Entry.objects.filter(item=items["writecompact"]).values_list("number", flat=True))
    assert numbers == list(range(1, STEPS + 1))
    assert_nothing_left_over()
    assert list(verify.everything()) == []
