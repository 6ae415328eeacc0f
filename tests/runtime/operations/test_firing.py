from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from runtime import clock
from runtime.models import Schedule, WorkItem
from runtime.operations import firing
from runtime.operations.schedule_moves import pause_schedule
from runtime.operations.schedules import set_schedule
from runtime.store import get_store
from runtime.testing import advance

pytestmark = pytest.mark.django_db
ENGINES = ("echo", "picky")


def fire() -> int:
    return firing.fire_due(get_store(), ENGINES)


def found() -> Schedule:
    row: Schedule = Schedule.objects.get()
    return row


def ats() -> list[str]:
    return [item.payload["at"] for item in WorkItem.objects.order_by("idempotency_key")]


@pytest.mark.scenario("S9", "B13")
def test_what_is_due_fires_once_and_its_next_time_is_known() -> None:
    made = set_schedule("pulse", engine="echo", payload={"x": 1}, every=60, time_field="at", options={"priority": 3})
    assert made.next_run is not None
    assert fire() == 0
    with advance(60.5):
        assert fire() == 1
        assert fire() == 0
    item = WorkItem.objects.get()
    assert (item.payload, item.priority) == ({"x": 1, "at": made.next_run.isoformat()}, 3)
    assert item.idempotency_key == f"schedule:{made.pk}:{made.next_run.isoformat()}"
    assert item.events.get().actor == "schedule:pulse"
    row = found()
    assert (row.last_run, row.last_item, row.fired_total) == (made.next_run, item.pk, 1)
    assert row.next_run == made.next_run + dt.timedelta(seconds=60)
    assert row.row_version == made.row_version


@pytest.mark.scenario("S9")
@pytest.mark.parametrize(("catch_up", "count"), [("none", 0), ("last", 1), ("all", 10)])
def test_an_outage_is_made_up_for_by_policy(catch_up: str, count: int, settings: Any) -> None:
    settings.ROOST_SCHEDULE_GRACE_SECONDS = 5.0
    made = set_schedule("pulse", engine="echo", payload={}, every=60, time_field="at", catch_up=catch_up)
    assert made.next_run is not None
    with advance(630):
        assert fire() == count
    last = made.next_run + dt.timedelta(seconds=540)
    assert ats() == [(last - dt.timedelta(seconds=60 * back)).isoformat() for back in range(count)][::-1]
    assert found().next_run == last + dt.timedelta(seconds=60)
    assert (found().skipped_at is None) == (catch_up == "all")


@pytest.mark.scenario("S9")
def test_making_up_for_all_is_bounded_by_the_setting(settings: Any) -> None:
    settings.ROOST_SCHEDULE_CATCH_UP = 7
    set_schedule("pulse", engine="echo", every=1, catch_up="all")
    with advance(86_400):
        assert fire() == 7
        assert fire() == 0
    assert found().skipped_at is not None


@pytest.mark.scenario("B13")
def test_a_row_put_back_to_an_old_time_fires_nothing_twice() -> None:
    made = set_schedule("pulse", engine="echo", every=60)
    with advance(61):
        assert fire() == 1
        Schedule.objects.update(next_run=made.next_run, fire_at=made.next_run)
        assert fire() == 0
    assert WorkItem.objects.count() == 1
    assert found().next_run == made.next_run + dt.timedelta(seconds=60)


def test_a_once_fires_once_and_is_over() -> None:
    set_schedule("launch", engine="echo", at=clock.now("default") + dt.timedelta(hours=1), catch_up="none")
    with advance(86_400):
        assert fire() == 1
        assert fire() == 0
    assert (found().next_run, found().fire_at, found().enabled) == (None, None, True)


def test_a_paused_schedule_does_not_fire() -> None:
    set_schedule("pulse", engine="echo", every=60)
    pause_schedule("pulse")
    with advance(3600):
        assert firing.outlook(get_store(), ENGINES) == ([], None)
        assert fire() == 0


def test_a_schedule_whose_engine_this_worker_lacks_is_left_to_others() -> None:
    set_schedule("pulse", engine="echo", every=60)
    with advance(61):
        assert firing.fire_due(get_store(), ["picky"]) == 0
        assert fire() == 1


def test_what_the_engine_refuses_stays_due_is_tried_again_later_and_keeps_nobody_waiting(settings: Any) -> None:
    made = set_schedule("greet", engine="picky", payload={"name": "ann"}, every=60, catch_up="all")
    set_schedule("pulse", engine="echo", every=60)
    Schedule.objects.filter(name="greet").update(payload={})
    with advance(61):
        assert fire() == 1
        row = Schedule.objects.get(name="greet")
        assert (row.failures, row.next_run) == (1, made.next_run)
        assert "Say whom to greet" in row.error
        assert fire() == 0
    with advance(64):
        assert fire() == 0
    assert Schedule.objects.get(name="greet").failures == 2
    Schedule.objects.filter(name="greet").update(payload={"name": "bob"})
    with advance(190):
        assert fire() == 4
    row = Schedule.objects.get(name="greet")
    assert (row.failures, row.error, row.fired_total) == (0, "", 3)


def test_the_outlook_says_how_long_there_is_time() -> None:
    assert firing.outlook(get_store(), ENGINES) == ([], None)
    made = set_schedule("pulse", engine="echo", every=60)
    ripe, seconds = firing.outlook(get_store(), ENGINES)
    assert ripe == []
    assert seconds is not None
    assert 58 < seconds <= 60
    with advance(61):
        assert firing.outlook(get_store(), ENGINES) == ([made.pk], 0.0)


def test_refused_firings_do_not_stand_in_front_of_others() -> None:
    for number in range(5):
        set_schedule(f"greet {number}", engine="picky", payload={"name": "x"}, every=60)
    Schedule.objects.update(payload={})
    set_schedule("pulse", engine="echo", every=61)
    with advance(60.5):
        assert fire() == 0
    with advance(61.5):
        ripe, _ = firing.outlook(get_store(), ENGINES, batch=1)
        assert firing.fire(get_store(), ripe) == 1


@pytest.mark.scenario("S9")
def test_a_schedule_on_the_wall_clock_survives_the_change_of_time() -> None:
    made = set_schedule(
        "nightly", engine="echo", payload={}, cron="30 2 * * *", timezone="Europe/Berlin", time_field="at"
    )
    # The night of 29 March 2026 has no 02:30 in Berlin, that of 25 October has two.
    for begin, runs in (
        ("2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        ("2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
    ):
        start = dt.datetime.fromisoformat(begin).replace(tzinfo=dt.UTC)
        first = firing.timetable(made).after(start)
        Schedule.objects.update(next_run=first, fire_at=first, catch_up="all")
        with advance((start - clock.now("default")).total_seconds() + 2 * 86_400):
            assert fire() == 2
        stored = [dt.datetime.fromisoformat(text) for text in ats()]
        assert [moment.strftime("%Y-%m-%dT%H:%M") for moment in stored] == runs
        WorkItem.objects.all().delete()
