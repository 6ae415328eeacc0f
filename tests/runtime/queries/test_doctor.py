from __future__ import annotations

import datetime as dt

import pytest
from django.db import OperationalError, connection
from django.test import override_settings

from runtime.choices import Reason, State
from runtime.models import Schedule
from runtime.operations.schedules import set_schedule
from runtime.queries import doctor
from runtime.queries.finding import Finding
from tests.runtime.queries import rows, unapplied

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L14")]


def found(check: str) -> list[Finding]:
    return [finding for finding in doctor.findings() if finding.check == check]


def test_a_fresh_installation_is_well() -> None:
    assert {finding.level for finding in doctor.findings()} == {"ok"}


def test_whatever_is_wrong_comes_with_a_hint() -> None:
    rows.item(engine="nobody", run_at=rows.now(-3600))
    rows.item(State.FAILED)
    rows.lease(rows.item(State.RUNNING), rows.worker(), lasts=-100)
    bad = [finding for finding in doctor.findings() if finding.level != "ok"]
    assert [(finding.check, finding.level) for finding in bad] == [
        ("workers", "problem"),
        ("leases", "problem"),
        ("due", "warning"),
        ("dead", "warning"),
    ]
    assert all(finding.hint for finding in bad)


def test_a_database_that_does_not_answer_is_told_and_the_rest_is_still_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused\nIs the server running?")

    monkeypatch.setattr(connection, "ensure_connection", refuse)
    first, last = doctor.findings()
    assert (first.check, first.level) == ("database", "problem")
    assert "connection refused" in first.text
    assert last.check == "storage"


def test_a_missing_migration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db.migrations.recorder import MigrationRecorder

    MigrationRecorder(connection).migration_qs.filter(app="roost").delete()
    [finding] = found("migrations")
    assert finding.level == "problem"
    assert "0001_initial" in finding.text


@pytest.mark.parametrize(
    ("waiting", "level"),
    [
        (["9000_post_last_release"], "warning"),
        (["9000_pre_this_release"], "problem"),
        (["9000_post_last_release", "9001_pre_this_release"], "problem"),
        (["9000_prepare_for_post_offices"], "problem"),
    ],
)
def test_only_what_has_to_wait_for_the_end_of_old_code_may_be_missing(
    monkeypatch: pytest.MonkeyPatch, waiting: list[str], level: str
) -> None:
    unapplied.migrations(monkeypatch, waiting)
    [finding] = found("migrations")
    assert finding.level == level
    assert finding.text == f"Migrations of Roost are not applied: {', '.join(waiting)}."
    assert ("old release" in finding.hint) == (level == "warning")


def test_queued_items_without_a_live_worker_are_a_problem_and_with_one_are_not() -> None:
    rows.item()
    assert [finding.level for finding in found("workers")] == ["problem"]
    rows.worker()
    assert [finding.level for finding in found("workers")] == ["ok"]


def test_parked_items_are_counted_and_are_not_overdue() -> None:
    rows.worker()
    rows.item(reason=Reason.RESOURCE, run_at=rows.now(-3600))
    [parked], [due] = found("parked"), found("due")
    assert "1 items are parked" in parked.text
    assert due.level == "ok"


def test_acknowledged_dead_letters_bother_nobody() -> None:
    rows.item(State.FAILED, acknowledged_at=rows.now())
    assert [finding.level for finding in found("dead")] == ["ok"]


@pytest.mark.scenario("B12")
def test_a_clock_that_is_an_hour_off_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.queries.doctor.timezone.now", lambda: dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
    monkeypatch.setattr("runtime.clock.timezone", _Untouched)
    [finding] = found("clock")
    assert finding.level == "warning"
    assert "60 min" in finding.text


class _Untouched:
    now = staticmethod(lambda: dt.datetime.now(dt.UTC))


def test_a_storage_that_takes_no_file_is_a_problem() -> None:
    with override_settings(ROOST_ARTIFACT_STORAGE="nowhere"):
        [finding] = found("storage")
    assert finding.level == "problem"
    assert "'nowhere'" in finding.text


def test_sqlite_without_wal_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor == "postgresql":
        assert found("sqlite") == []
        return
    with connection.cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    assert [finding.level for finding in found("sqlite")] == ["ok" if mode in {"wal", "memory"} else "warning"]


def test_the_checks_leave_no_file_behind() -> None:
    from runtime import artifacts

    doctor.findings()
    assert artifacts.storage().listdir(artifacts.ASIDE)[1] == []


def test_items_that_fail_wait_for_code_or_lose_their_workers_are_told() -> None:
    rows.item(attempt=2, reason=Reason.RETRY)
    rows.item(State.PAUSED, reason=Reason.HELD, engine_version="7")
    rows.item(deaths=2)
    assert "1 items of engine 'counter' have failed" in found("failing")[0].text
    [held], [suspects] = found("held"), found("suspects")
    assert (held.level, suspects.level) == ("warning", "warning")
    assert "version 7" in held.text
    assert "roost why" in held.hint


def test_waits_and_schedules_that_nobody_settles_or_fires_are_told() -> None:
    waiting = rows.item(State.WAITING)
    rows.wait(waiting, "soon", expires_at=rows.now(60))
    assert found("waits")[0].level == "ok"
    rows.wait(waiting, "late", expires_at=rows.now(-120))
    assert "1 waits are over" in found("waits")[0].text
    made = set_schedule("nightly", engine="counter", payload={"count_to": 1}, every=60)
    assert found("schedules")[0].level == "ok"
    Schedule.objects.filter(pk=made.pk).update(fire_at=rows.now(-120))
    assert "'nightly' of 'default' is overdue" in found("schedules")[0].text
    Schedule.objects.filter(pk=made.pk).update(error="the engine is gone")
    [finding] = found("schedules")
    assert ("could not fire" in finding.text, finding.hint) == (True, "the engine is gone")
