"""What limits mean for a worker: it makes room step by step under a rate, and comes back when a place is free."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from django.db import connections

from runtime.choices import State, WorkerState
from runtime.models import Event, Limit, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from runtime.operations.limits import set_limit
from runtime.queries.why import why
from runtime.store import get_store
from runtime.store.values import ClaimRequest
from runtime.tasks import drain_here
from runtime.worker.drain import Drain
from runtime.worker.options import WorkerOptions
from runtime.worker.pace import BLOCKED_MOST_SECONDS, BLOCKED_SECONDS, Pace
from runtime.worker.stop import StopToken
from tests.contracts.builders import until

pytestmark = pytest.mark.django_db(transaction=True)
SECONDS = 20.0


def options() -> WorkerOptions:
    return WorkerOptions.defaults(get_store().using, until_idle=True, grace_seconds=1.0)


def events(kind: str) -> Counter[Any]:
    return Counter(Event.objects.filter(kind=kind).values_list("work_item", flat=True))


def test_each_step_under_a_rate_takes_a_claim_and_a_token() -> None:
    Limit.objects.create(name="rate", engine="hop", rate=100, per_seconds=3600)
    items = [enqueue("hop", {"steps": 4}).pk for _ in range(3)]
    drain_here(options())
    assert events("claimed") == events("step") == dict.fromkeys(items, 4)
    assert 88 <= Limit.objects.get().tokens < 89


def test_a_rate_spreads_steps_over_time() -> None:
    Limit.objects.create(name="rate", rate=10, burst=1)
    enqueue("hop", {"steps": 5})
    drain_here(options())
    moments = list(Event.objects.filter(kind="claimed").order_by("seq").values_list("created_at", flat=True))
    assert (moments[-1] - moments[0]).total_seconds() >= 0.39


@pytest.mark.scenario("L45", "B8", "B13")
def test_a_cap_is_never_exceeded_and_its_lane_goes_on_without_a_pause() -> None:
    Limit.objects.create(name="cap", engine="hop", concurrency=2)
    enqueue_many([{"engine": "hop", "payload": {"steps": 1, "sleep": 0.02}} for _ in range(20)])
    began = time.monotonic()
    drain_here(options())
    assert time.monotonic() - began < 20 * BLOCKED_MOST_SECONDS
    assert not WorkItem.objects.exclude(state=State.DONE).exists()
    told = Event.objects.filter(kind__in=["claimed", "done"]).order_by("created_at", "-kind")
    running = most = 0
    for kind in told.values_list("kind", flat=True):
        running += 1 if kind == "claimed" else -1
        most = max(most, running)
    assert most == 2


def test_an_operator_opens_a_limit_while_a_worker_waits_behind_it() -> None:
    set_limit("stop", concurrency=0)
    item = enqueue("hop", {"steps": 1})
    assert "limit" in why(item).codes
    worker = threading.Thread(target=drain, daemon=True)
    worker.start()
    until(lambda: Worker.objects.filter(state=WorkerState.ONLINE).exists(), "the worker's start")
    assert WorkItem.objects.get().state == State.QUEUED
    set_limit("stop", concurrency=1)
    worker.join(10)
    assert WorkItem.objects.get().state == State.DONE


def drain() -> None:
    try:
        drain_here(options())
    finally:
        connections.close_all()


def test_a_worker_asks_less_and_less_often_for_what_it_cannot_have_until_a_place_is_freed() -> None:
    pace = Pace(get_store(), None, options())  # type: ignore[arg-type] # only the store would read the request
    pauses = []
    for _ in range(8):
        pace.claimed(0, 10, alone=False)
        pauses.append(round(pace.wait(room=True), 2))
    assert pauses[0] == BLOCKED_SECONDS
    assert pauses == sorted(pauses)
    assert 0.2 <= pauses[-1] <= BLOCKED_MOST_SECONDS
    pace.freed()
    assert pace.wait(room=True) == 0.0


@pytest.mark.scenario("L50")
def test_a_suspect_that_a_closed_limit_holds_back_empties_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither again and again, nor once: a worker that is to end when nothing is left would do nothing else."""
    asked: list[bool] = []
    claim = type(get_store()).claim

    def counted(store: Any, request: ClaimRequest) -> Any:
        asked.append(request.alone)
        return claim(store, request)

    monkeypatch.setattr(type(get_store()), "claim", counted)
    Limit.objects.create(name="stopped", pool="far", concurrency=0)
    held = enqueue("hop", {"steps": 1}, pool="far").pk
    WorkItem.objects.filter(pk=held).update(deaths=2)
    enqueue_many([{"engine": "hop", "payload": {"steps": 3, "sleep": 0.02}} for _ in range(5)])
    with StopToken() as stop:
        overdue = threading.Timer(SECONDS, stop.request)
        overdue.start()
        Drain(options(), stop).run()
        assert not stop.requested, "the worker is not idle"
        overdue.cancel()
        overdue.join()
    assert asked
    assert not any(asked)
    assert WorkItem.objects.exclude(pk=held).exclude(state=State.DONE).count() == 0
    assert WorkItem.objects.get(pk=held).state == State.QUEUED
