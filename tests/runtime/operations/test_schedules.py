from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection

from runtime import clock
from runtime.exceptions import Conflict, Forbidden, InvalidInput, NotFound, UnknownEngine
from runtime.models import Schedule, WorkItem
from runtime.operations.schedule_moves import pause_schedule, resume_schedule, run_schedule
from runtime.operations.schedules import SetSchedule, remove_schedule, set_schedule
from runtime.testing import advance

pytestmark = pytest.mark.django_db


def soon(**span: float) -> dt.datetime:
    return clock.now("default") + dt.timedelta(**span)


def test_a_schedule_is_set_and_knows_its_next_run() -> None:
    made = set_schedule("nightly", engine="echo", payload={"a": 1}, cron="30 2 * * *", timezone="Europe/Berlin")
    found = Schedule.objects.get()
    assert (found.pk, found.name, found.cron, found.catch_up, found.enabled) == (
        made.pk, "nightly", "30 2 * * *", "last", True,
    )  # fmt: skip
    assert found.next_run is not None
    assert found.next_run > soon()
    assert found.fire_at == found.next_run
    assert found.next_run.second == 0


def test_an_interval_counts_from_when_it_was_set_or_from_its_start() -> None:
    made = set_schedule("pulse", engine="echo", every=60)
    assert made.anchor is not None
    assert made.next_run == made.anchor + dt.timedelta(seconds=60)
    start = soon(hours=1)
    assert set_schedule("later", engine="echo", every=dt.timedelta(minutes=5), start_at=start).next_run == start


def test_setting_the_same_again_leaves_the_next_run_alone() -> None:
    first = set_schedule("pulse", engine="echo", every=60, catch_up="all")
    with advance(600):
        again = set_schedule("pulse", engine="echo", every=60, note="what for")
    assert (again.next_run, again.anchor, again.catch_up, again.note, again.row_version) == (
        first.next_run, first.anchor, "all", "what for", 2,
    )  # fmt: skip
    assert set_schedule("pulse", every=60).row_version == 2


def test_new_times_hold_from_now_on() -> None:
    set_schedule("pulse", engine="echo", every=60)
    with advance(600):
        changed = set_schedule("pulse", cron="* * * * *")
        assert changed.next_run is not None
        assert 0 < (changed.next_run - soon()).total_seconds() <= 60
    assert (changed.kind, changed.every, changed.anchor) == ("cron", None, None)


@pytest.mark.scenario("L27")
def test_a_name_is_one_schedule_in_each_namespace() -> None:
    set_schedule("pulse", engine="echo", every=60)
    set_schedule("pulse", namespace="other", engine="echo", every=30)
    assert sorted(Schedule.objects.values_list("namespace", "every")) == [("default", 60), ("other", 30)]
    remove_schedule("pulse", namespace="other")
    assert Schedule.objects.get().namespace == "default"
    assert run_schedule("pulse").namespace == "default"


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "cron"),
        ({"cron": "* * * * *", "every": 5}, "every"),
        ({"cron": "nonsense"}, "cron"),
        ({"cron": "* * * * *", "timezone": "Nowhere"}, "timezone"),
        ({"every": 0}, "every"),
        ({"every": 0.5}, "every"),
        ({"every": float("nan")}, "every"),
        ({"at": dt.datetime(2000, 1, 1, tzinfo=dt.UTC)}, "at"),
        ({"at": dt.datetime(2100, 1, 1)}, "at"),  # noqa: DTZ001
        ({"at": "tomorrow"}, "at"),
        ({"cron": "* * * * *", "start_at": dt.datetime(2100, 1, 1, tzinfo=dt.UTC)}, "start_at"),
        ({"every": 60, "catch_up": "some"}, "catch_up"),
        ({"every": 60, "options": {"idempotency_key": "x"}}, "options"),
        ({"every": 60, "options": {"priority": "high"}}, "priority"),
        ({"every": 60, "options": {"deadline": "soon"}}, "deadline"),
        ({"every": 60, "options": []}, "options"),
        ({"every": 60, "payload": float("inf")}, "payload"),
        ({"every": 60, "payload": "a\x00b"}, "payload"),
        ({"every": 60, "payload": ["\ud800"]}, "payload"),
        ({"every": 60, "payload": [1], "time_field": "at"}, "time_field"),
        ({"every": 60, "note": "x" * 501}, "note"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        set_schedule("odd", engine="echo", **values)
    assert caught.value.field == field
    assert not Schedule.objects.exists()


def test_the_engine_is_asked_before_anything_is_stored() -> None:
    with pytest.raises(UnknownEngine):
        set_schedule("odd", engine="nobody", every=60)
    with pytest.raises(InvalidInput, match="Say whom to greet"):
        set_schedule("odd", engine="picky", payload={}, every=60)
    with pytest.raises(InvalidInput) as caught:
        set_schedule("odd", every=60)
    assert caught.value.field == "engine"
    assert not Schedule.objects.exists()


def test_a_paused_schedule_goes_on_from_its_next_time() -> None:
    set_schedule("pulse", engine="echo", every=60, catch_up="all")
    assert not pause_schedule("pulse").enabled
    with pytest.raises(Conflict, match="paused already"):
        pause_schedule("pulse")
    with advance(3600):
        resumed = resume_schedule("pulse")
        assert resumed.next_run is not None
        assert 0 < (resumed.next_run - soon()).total_seconds() <= 60
        with pytest.raises(Conflict, match="not paused"):
            resume_schedule("pulse")


def test_a_once_whose_time_passed_in_a_pause_is_not_resumed_silently() -> None:
    set_schedule("launch", engine="echo", at=soon(hours=1))
    pause_schedule("launch")
    with advance(7200), pytest.raises(InvalidInput, match="would never fire"):
        resume_schedule("launch")
    assert not Schedule.objects.get().enabled


@pytest.mark.scenario("S9")
def test_running_it_now_is_a_firing_of_its_own() -> None:
    made = set_schedule(
        "pulse", engine="picky", payload={"name": "ann"}, every=60, time_field="at", options={"priority": 7}
    )
    pause_schedule("pulse")
    one, two = run_schedule("pulse", actor="ops"), run_schedule("pulse")
    assert one.pk != two.pk
    assert (one.engine, one.payload["name"], one.priority) == ("picky", "ann", 7)
    assert dt.datetime.fromisoformat(one.payload["at"]) <= soon()
    assert str(one.idempotency_key).startswith(f"schedule:{made.pk}:manual:")
    assert one.events.get().actor == "ops"
    found = Schedule.objects.get()
    assert (found.next_run, found.last_run, found.fired_total) == (made.next_run, None, 0)


def test_what_is_not_there_is_not_found() -> None:
    for verb in (remove_schedule, pause_schedule, resume_schedule, run_schedule):
        with pytest.raises(NotFound, match="roost schedules list"):
            verb("missing")


def test_each_verb_asks_for_its_permission(django_user_model: Any) -> None:
    set_schedule("pulse", engine="echo", every=60)
    nobody = django_user_model.objects.create_user("nobody")
    for by in (nobody, AnonymousUser()):
        for verb in (remove_schedule, pause_schedule, resume_schedule, run_schedule):
            with pytest.raises(Forbidden, match=r"roost\.\w+_schedule"):
                verb("pulse", by=by)
        with pytest.raises(Forbidden, match=r"roost\.change_schedule"):
            SetSchedule("pulse", by=by, note="x").check()
        with pytest.raises(Forbidden, match=r"roost\.add_schedule"):
            set_schedule("new", by=by, engine="echo", every=60)
    assert WorkItem.objects.count() == 0


def test_the_database_refuses_a_schedule_without_times() -> None:
    from django.db import IntegrityError, transaction

    set_schedule("pulse", engine="echo", every=60)
    with pytest.raises(IntegrityError), transaction.atomic():
        Schedule.objects.update(every=None)
    assert connection.vendor in ("postgresql", "sqlite")
