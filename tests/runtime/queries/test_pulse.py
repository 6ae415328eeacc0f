"""The last hour is told minute by minute, out of a bounded number of events."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from runtime.choices import EventKind
from runtime.models import Event, WorkItem
from runtime.queries import pulse
from tests.factories import EventFactory, WorkItemFactory, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def item() -> WorkItem:
    """Give an item whose own events are long past."""
    made: WorkItem = WorkItemFactory()
    Event.objects.update(created_at=now(-90_000))
    return made


def at(minutes: float) -> dt.datetime:
    """Return the middle of the minute that was so many minutes ago."""
    return (now() - dt.timedelta(minutes=minutes)).replace(second=30, microsecond=0)


def write(item: WorkItem, kind: str, minutes: float, count: int = 1, duration: float | None = None) -> None:
    for _ in range(count):
        EventFactory(work_item=item, kind=kind, created_at=at(minutes), duration=duration)


def test_an_hour_without_events_has_sixty_empty_minutes(item: WorkItem) -> None:
    minutes = pulse.last_hour()
    assert len(minutes) == 60
    assert not any(minute.steps or minute.failures or minute.mean for minute in minutes)


def test_without_any_event_there_is_an_hour_too() -> None:
    assert len(pulse.last_hour()) == 60


def test_each_minute_has_its_steps_failures_and_durations(item: WorkItem) -> None:
    write(item, EventKind.STEP, 90, 5)
    write(item, EventKind.STEP, 30, 2, 0.25)
    write(item, EventKind.STEP, 30, 1, 1.0)
    write(item, EventKind.RETRY, 30, 2)
    write(item, EventKind.FAILED, 10)
    write(item, EventKind.STEP, 10, 1, 0.5)
    write(item, EventKind.DONE, 10)
    minutes = pulse.last_hour()
    found = {minute.at: minute for minute in minutes if minute.steps or minute.failures}
    earlier, later = (found[at(ago).replace(second=0)] for ago in (30, 10))
    assert len(found) == 2
    assert (earlier.steps, earlier.failures, earlier.mean, earlier.longest) == (3, 2, 0.5, 1.0)
    assert (later.steps, later.done, later.failures, later.mean) == (1, 1, 1, 0.5)
    assert not earlier.estimated
    assert Event.objects.filter(pk__gte=later.first, pk__lt=later.end).count() == 3


def test_a_busy_minute_is_estimated_from_a_sample(item: WorkItem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "SAMPLE", 10)
    write(item, EventKind.STEP, 5, 40)
    [busy] = [minute for minute in pulse.last_hour() if minute.steps]
    assert (busy.steps, busy.estimated) == (40, True)


def test_old_events_that_were_brought_in_just_now_are_not_counted(item: WorkItem) -> None:
    write(item, EventKind.STEP, 5, 16)
    write(item, EventKind.STEP, 5000)
    write(item, EventKind.STEP, 5, 4)
    assert sum(minute.steps for minute in pulse.last_hour()) == 20


def test_an_hour_takes_the_same_queries_however_much_happened(item: WorkItem) -> None:
    write(item, EventKind.STEP, 5)
    with CaptureQueriesContext(connection) as few:
        pulse.last_hour()
    for minutes in range(50):
        write(item, EventKind.STEP, minutes)
    with CaptureQueriesContext(connection) as many:
        pulse.last_hour()
    assert len(many) == len(few) <= 3
