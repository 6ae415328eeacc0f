"""Workers prune by themselves, a little at a time, and it costs a running step nothing."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError, connection

from runtime import clock, faults
from runtime.choices import WorkerState
from runtime.exceptions import InvalidInput
from runtime.faults import InjectedFault, Plan
from runtime.models import Event, Resource, Worker, WorkItem
from runtime.operations.prune import Pruned, prune, prune_resources, prune_workers
from runtime.operations.resource_capacity import set_capacity
from runtime.queries import verify
from runtime.store import heavy, retention
from runtime.store.going import Place
from runtime.worker import retention_care
from runtime.worker.retention_care import RetentionCare
from tests.factories import (
    LeaseFactory,
    ResourceClaimFactory,
    ResourceFactory,
    WorkerFactory,
    WorkItemFactory,
    now,
)
from tests.runtime.operations.aged import DAY, ended
from tests.runtime.places import in_threads


@pytest.fixture
def care(monkeypatch: pytest.MonkeyPatch) -> RetentionCare:
    """Give one whose round is due."""
    monkeypatch.setattr(retention_care.random, "random", lambda: 0.0)
    return RetentionCare("default")


def finish(care: RetentionCare) -> None:
    assert care._thread is not None
    care._thread.join(timeout=20)
    assert not care._thread.is_alive()


def left(care: RetentionCare) -> float:
    """Return the seconds until the next round."""
    return care._due_at - retention_care.time.monotonic()


@pytest.mark.django_db(transaction=True)
def test_a_round_removes_what_may_go_and_comes_back_in_ten_minutes(care: RetentionCare) -> None:
    kept, _old = WorkItemFactory(), ended(31)
    care.start_if_due()
    finish(care)
    assert list(WorkItem.objects.all()) == [kept]
    assert 500 < left(care) <= 600
    thread = care._thread
    care.start_if_due()
    assert care._thread is thread


@pytest.mark.django_db(transaction=True)
def test_a_round_that_runs_out_of_time_comes_back_soon(care: RetentionCare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention_care, "ROUND_SECONDS", 0.0)
    ended(31)
    care.start_if_due()
    finish(care)
    assert WorkItem.objects.count() == 1
    assert left(care) <= retention_care.AGAIN_SECONDS


@pytest.mark.django_db
def test_a_round_goes_on_where_the_last_one_came_to(care: RetentionCare, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(state="done", finished_at=now(), item=uuid.uuid4())
    asked: list[Place | None] = []

    def prune(*, after: Place | None, **_more: Any) -> Pruned:
        asked.append(after)
        return Pruned(more=len(asked) < 3, place=place if len(asked) < 3 else None)

    monkeypatch.setattr(retention_care, "prune", prune)
    assert [care._items() for _ in range(4)] == [True, True, False, False]
    assert asked == [None, place, place, None], "at the end it begins anew"


@pytest.mark.parametrize("error", [OperationalError("gone"), InvalidInput("bad", field="x"), ValueError("a bug")])
def test_what_goes_wrong_is_a_line_in_the_log(
    care: RetentionCare, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_more: Any) -> None:
        raise error

    monkeypatch.setattr(retention_care, "prune", fail)
    with caplog.at_level(logging.WARNING, "roost.retention"):
        care.start_if_due()
        finish(care)
    assert "prun" in caplog.text


@pytest.mark.django_db
def test_workers_that_went_offline_long_ago_go_but_for_owners() -> None:
    long_ago, lately = now(-31 * DAY), now(-29 * DAY)
    gone = WorkerFactory(state=WorkerState.OFFLINE, heartbeat_at=long_ago)
    stay = [
        WorkerFactory(state=WorkerState.OFFLINE, heartbeat_at=lately),
        WorkerFactory(state=WorkerState.ONLINE, heartbeat_at=long_ago),
        WorkerFactory(state=WorkerState.OFFLINE, heartbeat_at=long_ago),
    ]
    LeaseFactory(worker=stay[2])
    assert prune_workers() == 1
    assert not Worker.objects.filter(pk=gone.pk).exists()
    assert Worker.objects.filter(pk__in=[one.pk for one in stay]).count() == 3


@pytest.mark.django_db
def test_workers_stay_where_items_are_kept_for_ever(settings: Any) -> None:
    settings.ROOST_RETENTION_DAYS = None
    WorkerFactory(state=WorkerState.OFFLINE, heartbeat_at=now(-31 * DAY))
    assert prune_workers() == 0


@pytest.mark.django_db(transaction=True)
def test_a_round_removes_resources_of_which_there_is_nothing_to_know(care: RetentionCare) -> None:
    holder = WorkItemFactory(running=True)
    ResourceClaimFactory(resource__key="held", work_item=holder, held=True)
    ResourceClaimFactory(resource__key="wanted", work_item=holder, held=False)
    for key in ("gpu", "put back"):
        set_capacity(key, 4)
    set_capacity("put back", 1)
    ResourceFactory(key="idle")
    care.start_if_due()
    finish(care)
    assert set(Resource.objects.values_list("key", flat=True)) == {"held", "wanted", "gpu", "put back"}


@pytest.mark.django_db
def test_resources_go_in_parts_that_a_transaction_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heavy, "ROWS", 2)
    for _ in range(5):
        ResourceFactory()
    assert prune_resources() == 5
    assert not Resource.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("side", "items"), [("before", 3), ("after", 0)])
def test_a_batch_that_is_cut_off_has_gone_whole_or_not_at_all(side: str, items: int) -> None:
    for _ in range(3):
        ended(31, version=2)
    with faults.planned(Plan(point=f"prune.{side}", action="raise")), pytest.raises(InjectedFault):
        prune()
    assert WorkItem.objects.count() == items
    assert Event.objects.count() == items * 2
    assert list(verify.everything()) == []
    assert prune().items == items


@pytest.mark.django_db(transaction=True)
def test_pruners_at_once_remove_each_item_once() -> None:
    parents = [ended(40) for _ in range(30)]
    for parent in parents:
        ended(40, parent=parent)
    recent = ended(1, forked_from=parents[0], forked_version=0)
    done = in_threads(2 if connection.vendor == "sqlite" else 4, prune)
    # One passes over what another is at, so a rest may be left to the next round; nothing is counted twice.
    rest = prune()
    assert sum(one.items for one in done) + rest.items == 60
    assert list(WorkItem.objects.all()) == [recent]
    assert list(verify.everything()) == []


@pytest.mark.django_db(transaction=True)
def test_time_is_the_databases() -> None:
    ended(29)
    assert prune().items == 0
    with clock.shifted(dt.timedelta(days=2)):
        assert prune().items == 1


@pytest.mark.django_db
def test_a_transaction_takes_a_bounded_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        WorkerFactory(state="offline", heartbeat_at=now(-40 * DAY), stopped_at=now(-40 * DAY))
    monkeypatch.setattr(heavy, "ROWS", 2)
    sizes: list[int] = []
    delete = retention.transacted

    def counted(using: str, work: Callable[[], tuple[int, dict[str, int]]]) -> tuple[int, dict[str, int]]:
        done = delete(using, work)
        sizes.append(done[0])
        return done

    monkeypatch.setattr(retention, "transacted", counted)
    assert prune_workers() == 5
    assert sizes == [2, 2, 1]
