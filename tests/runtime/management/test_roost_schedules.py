from __future__ import annotations

import datetime as dt

import pytest

from runtime.models import Schedule, WorkItem
from runtime.testing import advance
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db
WORK = ("--engine", "counter", "--payload", '{"count_to": 3}')


def test_a_schedule_is_set_listed_changed_run_and_removed() -> None:
    told = run("schedules", "set", "nightly", *WORK, "--cron", "30 2 * * *", "--timezone", "Europe/Berlin")
    assert "nightly: counter, 30 2 * * * (Europe/Berlin)" in told
    assert len(told.splitlines()) == 6
    assert all("02:30 CE" in line or "03:00 CEST" in line for line in told.splitlines()[1:])
    assert "(in " in told.splitlines()[1]
    assert "30 2 * * * (Europe/Berlin)" in run("schedules", "list")
    found = document("schedules", "set", "nightly", "--catch-up", "all", "--options", '{"priority": 4}')["schedule"]
    assert (found["catch_up"], found["options"], found["cron"], found["row_version"]) == (
        "all", {"priority": 4}, "30 2 * * *", 2,
    )  # fmt: skip
    assert len(found["next_runs"]) == 5
    made = document("schedules", "run", "nightly")
    assert WorkItem.objects.get(pk=made["id"]).priority == 4
    assert document("schedules", "show", "nightly")["schedule"]["times"] == "30 2 * * * (Europe/Berlin)"
    assert document("schedules", "remove", "nightly") == {"removed": "nightly"}
    assert "No schedule is set." in run("schedules", "list")


def test_it_is_paused_and_resumed_and_says_so() -> None:
    run("schedules", "set", "pulse", *WORK, "--every", 60)
    assert "paused" in run("schedules", "pause", "pulse")
    assert "no further run" in run("schedules", "show", "pulse")
    assert refused("schedules", "pause", "pulse")[0] == 1
    assert document("schedules", "resume", "pulse")["schedule"]["trouble"] == ""
    assert refused("schedules", "resume", "pulse")[0] == 1


def test_the_list_says_what_keeps_a_schedule_from_firing() -> None:
    run("schedules", "set", "pulse", *WORK, "--every", 60)
    with advance(600):
        assert "no worker that offers the engine counter looks" in run("schedules", "list")
    Schedule.objects.update(failures=2, error="InvalidInput: no")
    [one] = document("schedules", "list", "--namespace", "default")["schedules"]
    assert one["trouble"] == "refused 2 times: InvalidInput: no"
    assert document("schedules", "list", "--namespace", "other") == {"schedules": []}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--cron", "61 * * * *"),
        ("--every", "0"),
        ("--at", "yesterday"),
        ("--at", "2001-01-01T00:00:00Z"),
        ("--at", "2030-01-01T00:00:00"),
        ("--every", "60", "--options", "{"),
        ("--every", "60", "--payload", "{"),
        (),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...]) -> None:
    assert refused("schedules", "set", "odd", *WORK, *arguments)[0] == 2
    assert refused("schedules", "show", "odd")[0] == 3


def test_a_once_says_when() -> None:
    at = dt.datetime.now(dt.UTC) + dt.timedelta(days=400)
    told = run("schedules", "set", "launch", *WORK, "--at", at.isoformat())
    assert f"once, {at:%a %d %b %Y, %H:%M}" in told
    assert "(in 400 d)" in told
