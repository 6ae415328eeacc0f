"""The doctor looks at PostgreSQL itself: dead rows, indexes, poolers, and the NOTIFY queue."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.db import connection

from runtime.choices import EventKind
from runtime.queries import doctor, doctor_postgres, feed
from runtime.queries.doctor_postgres import pooling
from runtime.queries.finding import Finding
from tests.runtime.queries import rows

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L14")]


def found(check: str) -> list[Finding]:
    return [finding for finding in doctor.findings() if finding.check == check]


def run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("check", ["vacuum", "dead rows", "indexes", "pooler", "notify", "restored"])
def test_a_server_that_is_well_is_told_so_once_for_each_check(check: str) -> None:
    assert [finding.level for finding in found(check)] == ["ok"]


@pytest.mark.django_db(transaction=True)
def test_a_table_full_of_dead_rows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # Few tables are named, and tests before this one leave dead rows in others.
    monkeypatch.setattr(doctor_postgres, "MANY_DEAD", 15_000)
    run("ALTER TABLE roost_blob SET (autovacuum_enabled = false)")
    try:
        run(
            "INSERT INTO roost_blob SELECT lpad(n::text, 64, '0'), 1, 'x', statement_timestamp() "
            "FROM generate_series(1, 20000) n"
        )
        run("DELETE FROM roost_blob")
        run("SELECT pg_stat_force_next_flush()")
        run("SELECT pg_stat_clear_snapshot()")
        findings = {one.text.split(" ")[0]: one for one in found("dead rows")}
    finally:
        run("ALTER TABLE roost_blob RESET (autovacuum_enabled)")
    finding = findings["roost_blob"]
    assert finding.level == "warning"
    assert re.search(r"roost_blob has 2\d{4} dead rows beside", finding.text)
    assert "VACUUM roost_blob" in finding.hint


def test_an_index_that_was_not_finished_is_a_problem() -> None:
    run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'roost_event_tx'::regclass")
    [finding] = found("indexes")
    assert (finding.level, "roost_event_tx" in finding.text) == ("problem", True)
    assert "REINDEX INDEX CONCURRENTLY roost_event_tx" in finding.hint


def test_a_large_index_that_nobody_reads_is_named_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_postgres, "LARGE_INDEX", 1)
    monkeypatch.setattr(doctor_postgres, "WATCHED", dt.timedelta(days=-1))
    unread = [finding for finding in found("indexes") if finding.level == "warning"]
    assert unread
    assert all("Nobody has read the index roost_" in finding.text for finding in unread)


def test_a_queue_of_notices_that_fills_up_is_told_before_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    for usage, level in ((0.05, "ok"), (0.2, "warning"), (0.6, "problem")):
        monkeypatch.setattr(doctor_postgres, "notify_usage", lambda using, usage=usage: usage)
        [finding] = found("notify")
        assert (finding.level, f"{usage:.1%}" in finding.text) == (level, True)


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand for a pooler: the backends that questions are sent to, one after the other; clients are told 1."""
    given: list[int] = []

    def ask(_connection: Any) -> int:
        return given.pop(0)

    monkeypatch.setattr(doctor_postgres, "_pid", ask)
    monkeypatch.setattr(doctor_postgres, "told_pid", lambda _connection: 1)
    return given


def test_no_pooler_is_seen_where_there_is_none() -> None:
    assert pooling("default") == "none"


def test_a_pooler_is_told_by_the_ids_that_it_makes_up(backends: list[int]) -> None:
    backends += [70, 71, 70]
    assert pooling("default") == "session"
    backends += [70, 70, 71]
    assert pooling("default") == "transaction"


def test_a_pooler_in_front_of_what_has_to_be_direct_is_a_problem(backends: list[int]) -> None:
    backends += [70, 70, 71]
    [finding] = found("pooler")
    assert finding.level == "problem"
    assert "ROOST_DIRECT_DATABASE" in finding.hint
    backends += [70, 71, 70]
    assert [one.level for one in found("pooler")] == ["ok"]


@pytest.mark.django_db(transaction=True)
def test_events_of_another_servers_transactions_are_settled_by_what_the_doctor_says() -> None:
    """As after a dump was restored into a new server, whose transactions begin at small numbers again."""
    item = rows.item(event_seq=2)
    run("UPDATE roost_event SET tx = '900000000000'")
    run("INSERT INTO roost_eventhorizon (id, event, tx) VALUES (1, 0, '900000000000')")
    assert feed.read(feed.start()).reset
    [finding] = found("restored")
    assert finding.level == "problem"
    for statement in re.findall("`(.*?)`", finding.hint):
        run(statement)
    assert [finding.level for finding in found("restored")] == ["ok"]
    cursor = feed.start()
    rows.event(item, 3, EventKind.STEP)
    page = feed.read(cursor)
    assert (page.reset, [event.seq for event in page.events]) == (False, [3])
    assert [event.seq for event in feed.read(feed.start(beginning=True)).events] == [1, 2, 3]
