"""A receiver hears of an end under one id, wherever the worker dies that ends the item or delivers."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import faults
from runtime.deliveries import ENGINE
from runtime.models import WebhookTarget, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.targets import set_target
from runtime.queries import verify
from tests.processes.conftest import StartFleet
from tests.processes.fleet import all_in
from tests.receiver import SECRET, receiving

pytestmark = pytest.mark.slow

HEARD_TWICE = {("call.after", 1), ("journal.before", 2)}
"""Points behind the request and before what it came to is recorded: nobody knows, so it is made again."""
HEARD_ONCE = [
    *((f"commit.{side}", nth) for side in faults.SIDES for nth in (1, 2)),
    *[("call.before", 1), ("journal.before", 1), ("journal.after", 1), ("journal.after", 2)],
    *[("notice.before", 1), ("notice.after", 1)],
]


@pytest.mark.scenario("S10", "L36", "B23")
@pytest.mark.parametrize(("point", "nth"), [*HEARD_ONCE, *sorted(HEARD_TWICE)])
def test_an_end_is_delivered_under_one_id_whose_worker_is_killed_anywhere(
    fleet: StartFleet, tmp_path: Path, point: str, nth: int
) -> None:
    died = tmp_path / "died"
    workers = fleet()
    workers.environment[faults.VARIABLE] = f"{point}:kill:{nth}:{died}"
    with receiving() as receiver:
        set_target("ops", url=receiver.url, events=["done"], secret=SECRET)
        item = enqueue("counter", {"count_to": 1})
        workers.start("--processes", "1")
        workers.wait(30, all_in("done", engine=ENGINE), "the delivery")
        # What is committed can be seen a moment before the worker that committed it is killed.
        workers.wait(10, died.exists, f"the death at {point} for the {nth}. time")
        delivery = WorkItem.objects.get(engine=ENGINE)
        assert set(receiver.ids) == {str(delivery.pk)}
        assert len(receiver.got) == (2 if (point, nth) in HEARD_TWICE else 1)
        assert (receiver.wrong, receiver.got[0].body["item"]["id"]) == ([], str(item.pk))
    assert WebhookTarget.objects.get().delivered_total >= 1
    assert list(verify.everything()) == []
