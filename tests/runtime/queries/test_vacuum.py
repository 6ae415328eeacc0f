"""Who holds back vacuum is named, with how to end it: with real sessions, and slots as PostgreSQL shows them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.queries import doctor, vacuum
from runtime.queries.finding import Finding
from tests.contracts.builders import until
from tests.processes.tree import eventually

pytestmark = [pytest.mark.django_db, pytest.mark.scenario("L14")]


@pytest.fixture(autouse=True)
def _impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call everything old at once."""
    monkeypatch.setattr(vacuum, "OLD_SECONDS", 0.0)


@pytest.fixture
def session(db: None) -> Iterator[BaseDatabaseWrapper]:
    """Give a second session."""
    other = connection.copy()
    run(other, "SET application_name = 'report'")
    yield other
    other.close()


def run(on: BaseDatabaseWrapper, statement: str) -> Any:
    with on.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone() if cursor.description else None


OWN = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type <> 'client backend' AND coalesce(backend_xid, backend_xmin) IS NOT NULL
"""


def at_rest() -> bool:
    """Say whether none of the server's own processes, autovacuum among them, looks at the past."""
    run(connection, "SELECT pg_stat_clear_snapshot()")
    return run(connection, OWN) == (0,)


def found() -> list[Finding]:
    """Return what is found while the server itself is at rest: here everything counts as old at once."""
    told: list[Finding] = []

    def look() -> bool:
        quiet = at_rest()
        told[:] = [finding for finding in doctor.findings() if finding.check == "vacuum"]
        return at_rest() and quiet

    until(look, "a moment without autovacuum")
    return told


def test_nobody_holds_it_back() -> None:
    assert [(finding.level, finding.text) for finding in found()] == [("ok", "Nobody holds back vacuum.")]


def test_a_session_with_an_open_snapshot_is_named_until_it_ends(session: BaseDatabaseWrapper) -> None:
    run(session, "BEGIN ISOLATION LEVEL REPEATABLE READ")
    run(session, "SELECT 'the  year',\n count(*) FROM roost_event")
    [pid] = run(session, "SELECT pg_backend_pid()")
    [finding] = found()
    assert finding.level == "warning"
    assert f"Session {pid} (report, user " in finding.text
    assert "idle in transaction, SELECT pg_backend_pid()" in finding.text
    assert f"pg_terminate_backend({pid})" in finding.hint
    run(session, "COMMIT")
    assert [one.level for one in found()] == ["ok"]


def test_what_the_hint_says_ends_the_session(session: BaseDatabaseWrapper) -> None:
    run(session, "BEGIN")
    run(session, "SELECT pg_current_xact_id()")
    [finding] = found()
    run(connection, finding.hint.split("`")[1])
    with pytest.raises(Exception, match=r"terminat|closed|lost"):
        run(session, "SELECT 1")
    assert [one.level for one in found()] == ["ok"]


def test_a_session_that_has_only_begun_lately_is_left_alone(
    session: BaseDatabaseWrapper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vacuum, "OLD_SECONDS", 60.0)
    run(session, "BEGIN ISOLATION LEVEL REPEATABLE READ")
    run(session, "SELECT 1")
    assert [one.level for one in found()] == ["ok"]


def test_a_prepared_transaction_is_named_and_the_hint_ends_it(session: BaseDatabaseWrapper) -> None:
    if run(session, "SHOW max_prepared_transactions") == ("0",):
        pytest.skip("This server prepares no transactions.")
    name = f"order's {run(session, 'SELECT pg_backend_pid()')[0]}"
    run(session, "BEGIN")
    run(session, "SELECT pg_current_xact_id()")
    run(session, "PREPARE TRANSACTION '{}'".format(name.replace("'", "''")))
    [finding] = found()
    assert f"Prepared transaction {name} (user " in finding.text
    run(session, finding.hint.split("`")[1])
    assert [one.level for one in found()] == ["ok"]


# Temporary relations come before the catalogue's. A slot that holds something back needs a standby, or other settings.
SLOTS = """
CREATE TEMP VIEW pg_replication_slots AS
SELECT 'standby'::name AS slot_name, 'physical' AS slot_type, current_database() AS database, {active} AS active,
    '3'::xid AS xmin, NULL::xid AS catalog_xmin, statement_timestamp() - interval '2 min' AS inactive_since
WHERE pg_current_xact_id() IS NOT NULL
"""


def test_a_replication_slot_that_nobody_reads_is_named() -> None:
    run(connection, SLOTS.format(active="false"))
    [finding] = found()
    assert "Replication slot standby (physical, inactive) has held back vacuum for 2 min:" in finding.text
    assert "pg_drop_replication_slot('standby')" in finding.hint


def test_a_replication_slot_that_is_read_counts_once_it_is_far_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    run(
        connection, SLOTS.format(active="true").replace("statement_timestamp() - interval '2 min'", "NULL::timestamptz")
    )

    def levels() -> list[str]:
        nonlocal behind
        [behind] = run(connection, "SELECT age('3'::xid)")
        monkeypatch.setattr(vacuum, "MANY_TRANSACTIONS", behind)
        return [one.level for one in found()]

    behind = 0
    # Other tests begin transactions on this server, now and then between the two looks.
    eventually(20, lambda: levels() == ["ok"], "a moment without a transaction of others")
    monkeypatch.setattr(vacuum, "MANY_TRANSACTIONS", behind - 1)
    assert [one.level for one in found()] == ["warning"]


def test_the_one_that_holds_back_most_comes_first_and_few_are_named(session: BaseDatabaseWrapper) -> None:
    others = [connection.copy() for _ in range(vacuum.MOST + 1)]
    try:
        pids = []
        for one in others:
            run(one, "BEGIN ISOLATION LEVEL REPEATABLE READ")
            pids.append(run(one, "SELECT pg_backend_pid()")[0])
            run(session, "SELECT pg_current_xact_id()")
        assert [finding.text.split()[1] for finding in found()] == [str(pid) for pid in pids[: vacuum.MOST]]
    finally:
        for one in others:
            one.close()
