"""The database's clock is the one that counts, and tests can move it."""

from __future__ import annotations

import datetime as dt
import threading

import pytest
from django.db import connection, transaction
from django.utils import timezone

from runtime import clock

HOUR = dt.timedelta(hours=1)


@pytest.mark.django_db
def test_the_time_is_the_databases_and_aware() -> None:
    moment = clock.now("default")
    assert moment.tzinfo is not None
    assert abs(moment - timezone.now()) < dt.timedelta(minutes=5)


@pytest.mark.django_db(transaction=True)
def test_time_goes_on_inside_a_transaction() -> None:
    """A clock that stands still at the transaction's start would put a long step's due times into the past."""
    with transaction.atomic():
        first = clock.now("default")
        threading.Event().wait(0.005)
        assert clock.now("default") > first


@pytest.mark.scenario("B12")
@pytest.mark.django_db
def test_a_worker_whose_clock_is_an_hour_off_sees_the_databases_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite, which has no clock and no second machine, the database's time is the host's."""
    before = clock.now("default")
    monkeypatch.setattr(timezone, "now", lambda: dt.datetime.now(dt.UTC) + HOUR)
    skew = clock.now("default") - before
    assert (skew < dt.timedelta(minutes=1)) == (connection.vendor == "postgresql")


@pytest.mark.django_db
def test_a_moved_clock_moves_back_and_moves_add_up() -> None:
    start = clock.now("default")
    with clock.shifted(HOUR):
        assert HOUR <= clock.now("default") - start < 2 * HOUR
        with clock.shifted(HOUR):
            assert 2 * HOUR <= clock.now("default") - start < 3 * HOUR
        with pytest.raises(ZeroDivisionError), clock.shifted(-HOUR):
            raise ZeroDivisionError
        assert clock.now("default") - start >= HOUR
    assert clock.now("default") - start < HOUR


def test_statements_are_left_alone_unless_the_clock_is_moved() -> None:
    statement = f"SELECT 1 WHERE {clock.NOW_SQL} < {clock.NOW_SQL}"
    assert clock.sql(statement) is statement
    with clock.shifted(dt.timedelta(seconds=1.5)):
        moved = clock.sql(statement)
    assert moved.count("(statement_timestamp() + interval '1.500000 seconds')") == 2
