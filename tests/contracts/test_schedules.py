"""Schedules among several workers, an operator and crashes: each intended time fires once, whatever happens between."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pytest
from django.db import DatabaseError, connection, transaction

from runtime import faults
from runtime.faults import InjectedFault, Plan
from runtime.models import Event, Schedule, WorkItem
from runtime.operations import firing
from runtime.operations.schedule_moves import pause_schedule, run_schedule
from runtime.operations.schedules import remove_schedule, set_schedule
from runtime.queries import schedules
from runtime.store import get_store
from runtime.store.base import Store
from runtime.store.values import NewItem
from runtime.testing import advance
from tests.contracts.builders import Together, until, waiting_for_locks

pytestmark = pytest.mark.django_db(transaction=True)
ENGINES = ["counter"]
PAYLOAD = {"count_to": 1}
ENQUEUE, AROUND = firing._enqueue, faults.around


def fire() -> int:
    return firing.fire_due(get_store(), ENGINES)


def pulse(name: str = "pulse", **values: object) -> Schedule:
    return set_schedule(name, engine="counter", payload=PAYLOAD, every=60, catch_up="all", **values)  # type: ignore[arg-type]


def keys() -> list[str]:
    return sorted(str(key) for key in WorkItem.objects.values_list("idempotency_key", flat=True))


def expected(made: Schedule, count: int) -> list[str]:
    assert made.next_run is not None
    times = [made.next_run + dt.timedelta(seconds=60 * number) for number in range(count)]
    return sorted(f"schedule:{made.pk}:{moment.isoformat()}" for moment in times)


@pytest.mark.scenario("S9", "B13")
def test_five_workers_at_once_fire_each_time_once() -> None:
    schedules = [pulse(f"pulse {number}") for number in range(6)]
    with advance(200):
        made = Together([fire] * 5).results()
    assert sum(made) == 18
    assert keys() == sorted(key for one in schedules for key in expected(one, 3))
    assert Event.objects.count() == 18


@pytest.mark.scenario("S9")
@pytest.mark.parametrize("point", ["insert.before", "insert.after", "fire.before", "fire.after"])
def test_a_crash_anywhere_in_a_firing_neither_loses_nor_doubles_it(point: str) -> None:
    made = pulse()
    with advance(61):
        with faults.planned(Plan(point=point, action="raise")), pytest.raises(InjectedFault):
            _fire_with_points()
        assert WorkItem.objects.count() == (1 if point == "fire.after" else 0)
        fire()
        assert fire() == 0
    assert keys() == expected(made, 1)


def _fire_with_points() -> int:
    from runtime.store.faulty import with_points

    store = get_store()
    return firing.fire_due(with_points(type(store)(store.using)), ENGINES)


@pytest.mark.scenario("S9")
def test_a_firing_that_is_rolled_back_leaves_nothing_and_is_made_again() -> None:
    made = pulse()
    with advance(61):
        with transaction.atomic():
            assert fire() == 1
            transaction.set_rollback(True)
        assert not WorkItem.objects.exists()
        assert fire() == 1
    assert keys() == expected(made, 1)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.scenario("S9", "B13")
def test_a_worker_passes_over_a_schedule_that_another_is_firing() -> None:
    first, second = pulse("first"), pulse("second")
    store = get_store()
    with advance(61):
        with transaction.atomic():
            assert firing.fire(store, [first.pk]) == 1
            assert Together([fire]).results() == [1]
        assert fire() == 0
    assert keys() == sorted(expected(first, 1) + expected(second, 1))


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_an_operator_waits_for_a_firing_and_then_changes_what_it_left() -> None:
    made = pulse()
    with advance(61):
        with transaction.atomic():
            assert fire() == 1
            editing = Together([lambda: set_schedule("pulse", note="edited")])
            until(lambda: waiting_for_locks() > 0, "a wait for the firing")
        [edited] = editing.results()
    assert (edited.fired_total, edited.note) == (1, "edited")
    row = Schedule.objects.get()
    assert row.next_run == made.anchor + dt.timedelta(seconds=120)  # type: ignore[operator]
    assert keys() == expected(made, 1)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
def test_a_pause_that_came_first_keeps_it_from_firing() -> None:
    made = pulse()
    with advance(61):
        ripe, _ = firing.outlook(get_store(), ENGINES)
        assert ripe == [made.pk]
        with transaction.atomic():
            pause_schedule("pulse")
            assert Together([lambda: firing.fire(get_store(), ripe)]).results() == [0]
        assert firing.fire(get_store(), ripe) == 0
    assert not WorkItem.objects.exists()


def test_two_who_set_the_same_new_schedule_make_one() -> None:
    Together([pulse] * 4).results()
    assert Schedule.objects.count() == 1


@pytest.mark.scenario("S9")
def test_running_it_by_hand_at_the_same_moment_takes_nothing_from_its_own_time() -> None:
    made = pulse()
    with advance(61):
        Together([fire, lambda: run_schedule("pulse")]).results()
        fire()
    assert WorkItem.objects.count() == 2
    assert [key for key in keys() if "manual" not in key] == expected(made, 1)


@pytest.mark.scenario("S9")
def test_a_schedule_whose_zone_this_host_does_not_know_holds_up_no_other() -> None:
    lost, other = pulse("lost"), pulse("other")
    Schedule.objects.filter(pk=lost.pk).update(kind="cron", cron="* * * * *", timezone="Mars/Phobos")
    with advance(61):
        assert fire() >= 1
    assert keys() == expected(other, 1)
    lost.refresh_from_db()
    assert lost.failures == 1
    assert "Mars/Phobos" in lost.error
    [shown, _] = schedules.views()
    assert "Mars/Phobos" in shown.trouble


@pytest.mark.scenario("S9")
def test_a_schedule_that_was_mended_fires_at_once_what_it_had_put_off() -> None:
    made = pulse()
    due = made.next_run
    with advance(61):
        Schedule.objects.update(engine="gone")
        assert [firing.fire_due(get_store(), ["gone"]) for _ in range(1)] == [0]
        found = Schedule.objects.get()
        assert (found.failures, found.next_run) == (1, due)
        assert found.fire_at > found.next_run
        assert firing.fire_due(get_store(), ["gone"]) == 0
        mended = set_schedule("pulse", engine="counter")
        assert (mended.failures, mended.error, mended.fire_at) == (0, "", due)
        assert fire() == 1
    assert keys() == expected(made, 1)


MEANWHILE: dict[str, Callable[[], object]] = {
    "another worker fires it": fire,
    "an operator pauses it": lambda: pause_schedule("pulse"),
    "an operator changes its times": lambda: pulse(start_at=dt.datetime(2100, 1, 1, tzinfo=dt.UTC)),
    "an operator mends it": lambda: set_schedule("pulse", payload={"count_to": 2}),
    "an operator removes it": lambda: remove_schedule("pulse"),
}


@pytest.mark.scenario("S9")
@pytest.mark.parametrize("act", MEANWHILE.values(), ids=MEANWHILE.keys())
def test_a_firing_that_the_database_refused_is_put_off_only_as_it_was(
    act: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal undoes the transaction and with it the lock: others come before the firing is put off."""
    pulse()
    refused(monkeypatch, act)
    with advance(61):
        assert fire() == 0
    left = list(Schedule.objects.values())
    monkeypatch.undo()
    assert [(row["failures"], row["error"], row["fire_at"]) for row in left] == [
        (0, "", row["next_run"]) for row in left
    ]


@pytest.mark.scenario("S9")
def test_a_firing_that_the_database_refused_is_put_off_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pulse()
    refused(monkeypatch, lambda: refused(monkeypatch, lambda: None) or fire())
    with advance(61):
        assert fire() == 0
    found = Schedule.objects.get()
    assert (found.failures, found.next_run) == (1, made.next_run)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer at a time")
@pytest.mark.scenario("S9")
def test_a_firing_that_the_database_refused_is_left_to_who_has_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    pulse()
    editing, done = threading.Event(), threading.Event()

    def edit() -> None:
        with transaction.atomic():
            set_schedule("pulse", note="edited")
            editing.set()
            assert done.wait(10)

    beside: list[Together] = []

    def begin_to_edit() -> None:
        beside.append(Together([edit]))
        assert editing.wait(10)

    refused(monkeypatch, begin_to_edit)
    with advance(61):
        assert fire() == 0
    done.set()
    beside[0].results()
    found = Schedule.objects.get()
    assert (found.note, found.failures, found.fire_at) == ("edited", 0, found.next_run)


def refused(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Let the database refuse what fires next, and `act` happen before that is written down."""
    passed: list[str] = []

    def refusing(store: Store, items: Sequence[NewItem]) -> set[uuid.UUID]:
        if not passed:
            passed.append("refused")
            raise DatabaseError("refused")
        return ENQUEUE(store, items)

    def noticing(place: str) -> AbstractContextManager[None]:
        if passed == ["refused"]:
            passed.append("acted")
            act()
        return AROUND(place)

    monkeypatch.setattr(firing, "_enqueue", refusing)
    monkeypatch.setattr(faults, "around", noticing)
