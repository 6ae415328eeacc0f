"""How a worker inside a call leaves: what failed is told, and nothing of it stays behind."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError

from runtime.choices import State
from runtime.engine import Complete, Engine, Item, Snapshot
from runtime.models import Lease, ResourceClaim, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.requeue import requeue
from runtime.store import get_store
from runtime.testing import drain
from runtime.worker.registration import Registration

pytestmark = pytest.mark.django_db


class Told(Engine):
    """Do what the payload says, with the first step alone."""

    steps: int

    def init_snapshot(self, item: Item) -> Any:
        return {}

    async def step(self, snapshot: Snapshot, item: Item) -> Any:
        Told.steps += 1
        if item.payload == "stops":
            raise KeyboardInterrupt
        if item.payload == "requeues" and Told.steps == 1:
            await sync_to_async(requeue)(item.id)
        return Complete()


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    settings.ROOST_ENGINES = {"told": f"{__name__}.Told"}
    Told.steps = 0


def refuse(*_args: Any) -> int:
    raise OperationalError("the database is away")


def test_who_stops_a_step_is_told_of_that_also_where_leaving_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue("told", "stops")
    monkeypatch.setattr(type(get_store()), "release", refuse)
    monkeypatch.setattr(Registration, "leave", refuse)
    with pytest.raises(KeyboardInterrupt) as caught:
        drain()
    assert caught.value.__notes__ == ["Leaving failed too: the database is away"] * 2


def test_who_stops_a_step_leaves_its_item_to_the_next() -> None:
    item = enqueue("told", "stops")
    with pytest.raises(KeyboardInterrupt) as caught:
        drain()
    item.refresh_from_db()
    assert (item.state, item.attempt, item.deaths, Lease.objects.count()) == (State.QUEUED, 0, 0, 0)
    assert Worker.objects.get().state == "offline"
    assert not hasattr(caught.value, "__notes__")


def test_leaving_that_fails_after_the_work_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    enqueue("told", "ends")
    monkeypatch.setattr(Registration, "leave", refuse)
    with pytest.raises(OperationalError):
        drain()
    assert WorkItem.objects.get().state == State.DONE


@pytest.mark.scenario("L4")
def test_an_item_with_resources_that_is_taken_away_in_its_step_is_run_again_in_the_same_call() -> None:
    item = enqueue("told", "requeues", resources=["gpu"])
    drain()
    item.refresh_from_db()
    assert (item.state, Told.steps) == (State.DONE, 2)
    assert not Lease.objects.exists()
    assert not ResourceClaim.objects.exists()
