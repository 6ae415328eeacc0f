from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest

from runtime.timetable import Due, Timetable, due

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
MINUTELY = Timetable(kind="cron", cron="* * * * *")
BEAT = Timetable(kind="interval", every=0.1 * 70, anchor=START)


def after(**span: float) -> dt.datetime:
    return START + dt.timedelta(**span)


def plan(table: Timetable, first: dt.datetime, now: dt.datetime, **values: Any) -> Due:
    return due(table, first, now, **{"catch_up": "last", "most": 100, "grace": 60.0, **values})


def test_intervals_do_not_drift() -> None:
    assert BEAT.next(START, 3) == [after(seconds=7), after(seconds=14), after(seconds=21)]
    assert BEAT.next(after(days=365), 1) == [after(seconds=7 * 4_505_143)]
    assert BEAT.until(after(seconds=20)) == after(seconds=14)


def test_an_interval_begins_at_its_anchor_and_a_once_is_over_after_it() -> None:
    assert BEAT.after(after(days=-9)) == START
    assert BEAT.until(after(seconds=-1)) is None
    once = Timetable(kind="once", anchor=START)
    assert (once.after(after(seconds=-1)), once.after(START), once.until(START)) == (START, None, START)
    assert once.next(after(days=-1), 5) == [START]


@pytest.mark.scenario("S9")
def test_a_firing_on_time_is_one_and_the_next_is_known() -> None:
    assert plan(MINUTELY, START, after(seconds=0.4)) == Due(times=(START,), skipped=False, upcoming=after(minutes=1))
    assert plan(MINUTELY, after(minutes=1), after(seconds=30)).times == ()


@pytest.mark.scenario("S9")
@pytest.mark.parametrize(
    ("catch_up", "times", "skipped"),
    [
        ("none", [], True),
        ("last", [after(minutes=10)], True),
        ("all", [after(minutes=number) for number in range(1, 11)], False),
    ],
)
def test_after_an_outage_the_policy_decides(catch_up: str, times: list[dt.datetime], skipped: bool) -> None:
    found = plan(MINUTELY, after(minutes=1), after(minutes=10, seconds=59), catch_up=catch_up, grace=30)
    assert (list(found.times), found.skipped, found.upcoming) == (times, skipped, after(minutes=11))


def test_none_fires_what_is_a_little_late() -> None:
    found = plan(MINUTELY, after(minutes=1), after(minutes=3, seconds=20), catch_up="none", grace=30)
    assert (found.times, found.skipped) == ((after(minutes=3),), True)


@pytest.mark.scenario("S9")
def test_catching_up_is_bounded_and_takes_no_longer_for_a_longer_outage() -> None:
    began = time.thread_time()
    found = plan(MINUTELY, START, after(days=3650), catch_up="all", most=50)
    assert time.thread_time() - began < 1
    assert (len(found.times), found.skipped) == (50, True)
    assert found.times[-1] == after(days=3650)
    assert found.times[0] == after(days=3650, minutes=-49)


def test_a_once_that_was_missed_is_fired_whatever_the_policy() -> None:
    once = Timetable(kind="once", anchor=START)
    for catch_up in ("none", "last", "all"):
        assert plan(once, START, after(days=9), catch_up=catch_up) == Due(times=(START,), skipped=False, upcoming=None)
