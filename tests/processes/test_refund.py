"""The tutorial's engine, its worker killed at every named point: every effect is made once, or shown as in doubt."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from runtime import faults
from runtime.models import Artifact, Event, JournalEntry, Wait, WorkItem
from runtime.operations.approve import approve
from runtime.operations.enqueue import enqueue
from runtime.operations.respond import respond
from runtime.operations.signal import send_signal
from runtime.queries import verify
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet
from tests.processes.service import Service, serving

pytestmark = pytest.mark.slow

ON_SQLITE = "sqlite" in settings.DATABASES["default"]["ENGINE"]
PAYMENT = 2
"""The payment is the second of three calls."""
LONGER_THAN_A_BEAT = 2.5
PASSES = {"commit": 3, "claim": 3, "journal": 7, "call": 3}
"""How often a run of the refund and its letter goes past a point, where that is more than once."""
# Nothing in this run goes past these: items and signals come from the test itself, there is no schedule, no step is
# atomic or taken away, no webhook target is told, and on PostgreSQL nobody sweeps while there is nothing to sweep. See
# test_points_elsewhere.py and test_webhook_targets.py.
ELSEWHERE = {"insert", "signal", "fire", "atomic", "acknowledge", "release", "move", "workspace", "clear"} | (
    set() if ON_SQLITE else {"sweep"}
)
ELSEWHERE |= {"prune", "deliver", "notice", "settle", "follow_up", "fork", "import", "rule", "orphans", "token"}
# Nobody uploads a file, or asks over the API under a key.
ELSEWHERE |= {"attach", "once"}
POINTS = [
    (point, nth)
    for point in faults.POINTS
    if (place := point.split(".")[0]) not in ELSEWHERE
    for nth in range(1, PASSES.get(place, 1) + 1)
]


@pytest.fixture
def service() -> Iterator[Service]:
    """Run the service that the engine calls."""
    with serving() as running:
        yield running


@pytest.mark.scenario("L19", "L36", "S8", "B23")
@pytest.mark.parametrize(("point", "nth"), POINTS)
def test_a_refund_whose_worker_is_killed_anywhere_pays_once(
    fleet: StartFleet, service: Service, tmp_path: Path, point: str, nth: int
) -> None:
    died = tmp_path / "died"
    workers = fleet()
    workers.environment[faults.VARIABLE] = f"{point}:kill:{nth}:{died}"
    service.seconds = LONGER_THAN_A_BEAT if point.startswith("renew") else 0.0
    item = enqueue("refund", {"service": service.url, "order": "A-7", "amount": 120})
    send_signal("settled:A-7", {"bank": "ok"})
    workers.start("--processes", "1")
    asked = _play(workers, item.pk, service)
    assert died.exists(), f"the run never went past {point} for the {nth}. time"
    item.refresh_from_db()
    assert item.result["refunded"] == 120
    assert [service.made(path) for path in ("/ratings", "/payments", "/letters")] == [1, 1, 1]
    # The payment was made once even for a service that knows no idempotency keys; what a crash left open was asked.
    assert service.requests["/payments"] == 1
    doubted = Event.objects.filter(work_item=item, kind="in_doubt", data__key="pay").exists()
    assert asked == (["journal:pay"] if doubted else [])
    assert doubted or point not in ("call.before", "call.after") or nth != PAYMENT
    assert Artifact.objects.get(work_item=item).name == "refund.json"
    assert not JournalEntry.objects.exclude(state="succeeded").exists()
    assert list(verify.everything()) == []


def _play(workers: Fleet, item: uuid.UUID, service: Service) -> list[str]:
    """Answer whatever is asked until the item has ended; return the keys of calls in doubt."""
    doubts: list[str] = []

    def look() -> bool:
        for wait in Wait.objects.filter(work_item=item, state="open", kind__in=["approval", "input"]):
            if wait.kind == "approval":
                approve(wait.work_item_id, wait.key, actor="ann")
            else:
                doubts.append(wait.key)
                happened = service.made("/payments") == 1
                result = {"happened": happened, **({"result": {"id": "payments-1"}} if happened else {})}
                respond(wait.work_item_id, wait.key, value=result, actor="ann")
        return WorkItem.objects.filter(pk=item, state__in=["done", "failed"]).exists()

    workers.wait(40, look, "the end")
    return doubts
