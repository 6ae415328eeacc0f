"""The numbers for a monitoring system are those of the rows, estimated where there are too many to count."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection

from runtime.choices import EventKind, Reason, State, WorkerState
from runtime.models import Event, WorkItem
from runtime.queries import metrics, pulse
from runtime.queries.exposition import Metric
from runtime.queries.windows import Figure
from tests.factories import EventFactory, now
from tests.runtime.queries import rows

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L14")]


def numbers(name: str) -> dict[str, float]:
    """Return a metric's numbers by its labels' values."""
    [found] = [one for one in metrics.collect() if one.name == name]
    return {" ".join(value for _, value in labels): number for labels, number in found.values.items()}


def test_every_name_is_roosts_own_and_told_once() -> None:
    found: list[Metric] = metrics.collect()
    names = [one.name for one in found]
    assert len(names) == len(set(names))
    assert all(name.startswith("roost_") for name in names)
    assert all(one.about.endswith(".") for one in found)


def test_live_items_are_counted_by_engine_and_state_with_the_age_of_the_oldest() -> None:
    for _ in range(3):
        rows.item(created_at=rows.now(-60), run_at=rows.now(-30))
    rows.item(engine="other", created_at=rows.now(-10), run_at=rows.now(3600))
    rows.item(reason=Reason.RESOURCE, engine="parked", run_at=rows.now(-600))
    rows.item(State.WAITING, engine="other", run_at=rows.now(-600))
    for ended in (State.DONE, State.FAILED, State.CANCELLED):
        rows.item(ended)
    items = numbers("roost_items")
    assert items == {"counter queued": 3, "other queued": 1, "parked queued": 1, "other waiting": 1}
    ages = numbers("roost_items_oldest_seconds")
    assert ages["counter queued"] == pytest.approx(60, abs=5)
    due = numbers("roost_due_oldest_seconds")
    assert list(due) == ["counter"]
    assert due["counter"] == pytest.approx(30, abs=5)
    assert set(numbers("roost_items_estimated").values()) == {0}


def test_more_items_than_are_counted_are_estimated_from_the_oldest_and_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "COUNTED", 4)
    for engine in ("counter",) * 6 + ("other",) * 6:
        rows.item(engine=engine)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE roost_workitem")
    found = numbers("roost_items")
    assert numbers("roost_items_estimated")["queued"] == 1
    assert set(found) == {"counter queued", "other queued"}
    if connection.vendor == "postgresql":
        assert found == {"counter queued": 6, "other queued": 6}


@pytest.mark.parametrize("count", range(4, 10))
def test_no_item_is_counted_twice_where_the_oldest_meet_the_newest(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(metrics, "COUNTED", 4)
    monkeypatch.setattr(metrics, "estimated", lambda rows, least: Figure(value=least))
    for _ in range(count):
        rows.item()
    [(_, standing)] = metrics._standings("queued", now(), "default")[0].items()
    assert standing.count == min(count, 8)


def test_dead_letters_are_counted_until_they_are_acknowledged() -> None:
    rows.item(State.FAILED)
    rows.item(State.FAILED, acknowledged_at=rows.now())
    assert numbers("roost_dead_letters") == {"counter": 1}


@pytest.fixture
def item() -> WorkItem:
    """Give an item whose own events are long past."""
    made = rows.item()
    Event.objects.update(created_at=now() - dt.timedelta(days=1))
    return made


def write(of: WorkItem, kind: str, minutes: float, **values: Any) -> None:
    EventFactory(work_item=of, kind=kind, created_at=now() - dt.timedelta(minutes=minutes), **values)


def test_what_happened_in_the_last_minutes_is_told_by_kind_with_how_long_steps_took(item: WorkItem) -> None:
    write(item, EventKind.STEP, 7.5, duration=100.0)
    for duration in (0.1, 0.2, 0.3, 0.4):
        write(item, EventKind.STEP, 2.5, duration=duration)
    write(item, EventKind.RETRY, 1.5)
    write(item, EventKind.RECOVERED, 0.0)
    assert numbers("roost_recent_events") == {"counter step": 4, "counter retry": 1, "counter recovered": 1}
    assert numbers("roost_recent_step_seconds") == {
        "counter 0.5": 0.3,
        "counter 0.95": 0.4,
        "counter 0.99": 0.4,
        "counter 1": 0.4,
    }
    assert numbers("roost_recent_step_seconds_mean")["counter"] == pytest.approx(0.25)
    assert numbers("roost_recent_estimated") == {"": 0}


def test_of_a_minute_with_many_events_a_part_is_read(item: WorkItem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "SAMPLE", 5)
    for _ in range(20):
        write(item, EventKind.STEP, 2.5, duration=0.5)
    assert numbers("roost_recent_events") == {"counter step": 20}
    assert numbers("roost_recent_estimated") == {"": 1}


def test_workers_are_ready_draining_or_silent() -> None:
    ready = rows.worker(capacity=7)
    rows.worker(desired_state=WorkerState.DRAINING)
    rows.worker(beat=3600)
    rows.worker(beat=3600, state=WorkerState.OFFLINE)
    rows.running(ready)
    rows.lease(rows.item(State.RUNNING), ready, lasts=-1)
    assert numbers("roost_workers") == {"ready": 1, "draining": 1, "silent": 1}
    assert numbers("roost_worker_capacity") == {"": 7}
    assert numbers("roost_worker_running") == {"": 2}
    assert numbers("roost_leases_expired") == {"": 1}


def test_what_people_are_asked_is_counted() -> None:
    waiting = rows.item(State.WAITING)
    rows.wait(waiting, "one", expires_at=rows.now(60))
    rows.wait(waiting, "two", kind="input")
    assert numbers("roost_asks_open") == {"approval": 1, "input": 1}
    assert numbers("roost_waits_expiring") == {"": 1}


def test_postgresql_tells_of_its_queue_and_of_vacuum() -> None:
    names = {one.name for one in metrics.collect()}
    ours = {"roost_notify_queue_usage", "roost_vacuum_held_transactions"}
    if connection.vendor == "postgresql":
        assert ours <= names
        # Other tests beside this one notify on the same server.
        [usage] = numbers("roost_notify_queue_usage").values()
        assert 0 <= usage < 0.01
    else:
        assert not ours & names
