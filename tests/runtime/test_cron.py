from __future__ import annotations

import datetime as dt
import time

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from runtime import cron
from runtime.exceptions import InvalidInput

pytestmark = pytest.mark.plain

BERLIN = cron.zone("Europe/Berlin")
UTC = cron.zone("UTC")


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def runs(text: str, after: str, count: int, where: str = "Europe/Berlin") -> list[str]:
    """Return the next firings on the clock on the wall."""
    zone, moment, found = cron.zone(where), at(after), []
    for _ in range(count):
        following = cron.following(text, zone, moment)
        assert following is not None
        moment = following
        found.append(moment.astimezone(zone).strftime("%m-%d %H:%M %Z"))
    return found


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("30 9 * * mon-fri", "30 9 * * mon-fri"),
        ("  */15\t8-18 1,15 JAN  * ", "*/15 8-18 1,15 jan *"),
        ("@daily", "0 0 * * *"),
        ("0 0 * * 7", "0 0 * * 7"),
        ("5/15 * * * *", "5/15 * * * *"),
    ],
)
def test_a_cron_text_is_kept_in_one_form(given: str, kept: str) -> None:
    assert cron.parse(given) == kept


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8"),
        *("*/0 * * * *", "*/60 * * * *", "5-1 * * * *", "a * * * *", "* * * mon *", "L * * * *", "H * * * *"),
        *("0 0 30 2 *", "0 0 31 4,6,9,11 *", "@reboot", "-1 * * * *", "1--2 * * * *", ",1 * * * *", "٣ * * * *"),
    ],
)
def test_what_is_no_cron_text_is_refused_with_words(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        cron.parse(text)
    assert caught.value.field == "cron"


@pytest.mark.parametrize("value", [None, 5, b"* * * * *", ["*"] * 5])
def test_only_text_is_a_cron_text(value: object) -> None:
    with pytest.raises(InvalidInput, match="must be a string"):
        cron.parse(value)


@pytest.mark.parametrize(
    "text",
    [
        "1-999999999999 * * * *",
        "*/999999999 * * * *",
        ",".join(["0-59"] * 20) + " * * * *",
        "*" * 1_000_000,
        "0-59/1," * 24 + "0 * * * *",
        "1" * 5000 + " * * * *",
    ],
)
def test_a_hostile_cron_text_is_refused_at_once(text: str) -> None:
    began = time.thread_time()
    with pytest.raises(InvalidInput):
        cron.parse(text)
    assert time.thread_time() - began < 0.5


def test_an_unknown_time_zone_is_refused() -> None:
    for name in ("Mars/Olympus", "", "../../etc/passwd", "europe"):
        with pytest.raises(InvalidInput) as caught:
            cron.zone(name)
        assert caught.value.field == "timezone"


@pytest.mark.scenario("S9")
def test_a_time_that_the_clock_leaps_over_fires_once_at_the_first_moment_after_it() -> None:
    assert runs("30 2 * * *", "2026-03-28T00:00", 3) == ["03-28 02:30 CET", "03-29 03:00 CEST", "03-30 02:30 CEST"]
    assert runs("*/20 2 * * *", "2026-03-28T01:30", 3) == ["03-28 02:40 CET", "03-29 03:00 CEST", "03-30 02:00 CEST"]
    assert runs("*/30 * * * *", "2026-03-29T00:00", 3) == ["03-29 01:30 CET", "03-29 03:00 CEST", "03-29 03:30 CEST"]


@pytest.mark.scenario("S9")
def test_a_time_that_the_clock_shows_twice_fires_the_first_time() -> None:
    assert runs("30 2 * * *", "2026-10-24T12:00", 2) == ["10-25 02:30 CEST", "10-26 02:30 CET"]
    assert runs("*/30 * * * *", "2026-10-25T00:15", 3) == ["10-25 02:30 CEST", "10-25 03:00 CET", "10-25 03:30 CET"]
    # Asked in the second pass, of an hour whose times have fired in the first.
    assert runs("*/30 * * * *", "2026-10-25T01:15", 1) == ["10-25 03:00 CET"]
    assert cron.latest("*/30 * * * *", BERLIN, at("2026-10-25T01:15")) == at("2026-10-25T00:30")


def test_a_day_that_a_country_left_out_fires_once() -> None:
    assert runs("0 12 * * *", "2011-12-29T00:00", 3, "Pacific/Apia") == [
        "12-29 12:00 -10",
        "12-31 00:00 +14",
        "12-31 12:00 +14",
    ]


def test_half_an_hour_of_summer_time_is_enough_to_be_right() -> None:
    assert runs("15 2 * * *", "2026-10-03T00:00", 2, "Australia/Lord_Howe")[0] == "10-04 02:30 +11"


MOMENTS = st.datetimes(min_value=dt.datetime(1975, 1, 1), max_value=dt.datetime(2090, 1, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"])
TEXTS = st.sampled_from(
    ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *", "15,45 1-3 * * sun", "0 12 29 2 *", "0 0 13 * fri"]
)


@given(TEXTS, MOMENTS)
def test_in_utc_it_is_what_croniter_says(text: str, moment: dt.datetime) -> None:
    naive = moment.replace(tzinfo=None, microsecond=0)
    expected = croniter(text, naive).get_next(dt.datetime).replace(tzinfo=dt.UTC)
    assert cron.following(text, UTC, moment) == expected


@given(TEXTS, ZONES, MOMENTS)
def test_the_last_firing_before_the_next_one_is_the_last_up_to_now(text: str, name: str, moment: dt.datetime) -> None:
    where = cron.zone(name)
    following = cron.following(text, where, moment)
    latest = cron.latest(text, where, moment)
    assert following is not None
    assert latest is not None
    assert latest <= moment < following
    assert cron.following(text, where, latest) == following
    assert cron.latest(text, where, following) == following
    assert cron.latest(text, where, following - dt.timedelta(seconds=1)) == latest


def test_where_the_calendar_ends_there_is_no_next_time() -> None:
    assert cron.following("* * * * *", UTC, dt.datetime(9999, 12, 31, 23, 59, 30, tzinfo=dt.UTC)) is None
    assert cron.latest("0 0 29 2 *", UTC, dt.datetime(1, 1, 1, 0, 0, 1, tzinfo=dt.UTC)) is None
