"""The checks of databases find what they are for, and say what to type."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from runtime import checks
from runtime.checks import databases
from tests.factories import WorkerFactory
from tests.runtime.checks.found import only


@pytest.mark.parametrize("name", ["DATABASE", "DIRECT_DATABASE"])
def test_database_alias_missing(settings: Any, name: str) -> None:
    setattr(settings, f"ROOST_{name}", "elsewhere")
    only(databases.database_alias_missing(), "roost.E006", f"ROOST_{name}", "'default'")
    for check in (*checks.ALWAYS, *checks.WITH_DATABASE):
        check()


def database(monkeypatch: pytest.MonkeyPatch, vendor: str, name: Any = "", **settings: Any) -> None:
    """Let the work database look like this to the checks."""
    given = {"NAME": name, "OPTIONS": {}, "DISABLE_SERVER_SIDE_CURSORS": False, **settings}
    seen = {"default": SimpleNamespace(vendor=vendor, settings_dict=given)}
    monkeypatch.setattr(databases, "connections", seen)


def test_sqlite_without_wal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "work.sqlite3"
    database(monkeypatch, "sqlite", file)
    only(databases.sqlite_without_wal(), "roost.W005", str(file), "PRAGMA journal_mode=WAL")
    made = sqlite3.connect(file)
    made.execute("CREATE TABLE one (id)")
    only(databases.sqlite_without_wal(), "roost.W005")
    made.execute("PRAGMA journal_mode=WAL")
    made.close()
    assert databases.sqlite_without_wal() == []


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("new.sqlite3", {"init_command": "PRAGMA journal_mode=WAL;"}),
        (":memory:", {}),
        ("file:memorydb_default?mode=memory&cache=shared", {}),
    ],
)
def test_sqlite_that_will_use_wal_or_has_no_file_is_fine(
    monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, str]
) -> None:
    database(monkeypatch, "sqlite", name, OPTIONS=options)
    assert databases.sqlite_without_wal() == []


@pytest.mark.django_db
def test_sqlite_shared_by_hosts() -> None:
    WorkerFactory(host="one")
    WorkerFactory(host="one")
    WorkerFactory(host="gone", state="offline")
    assert databases.sqlite_shared_by_hosts(databases=["default"]) == []
    WorkerFactory(host="two")
    assert databases.sqlite_shared_by_hosts() == []
    found = databases.sqlite_shared_by_hosts(databases=["default"])
    if connection.vendor == "sqlite":
        only(found, "roost.W006", "one, two", "PostgreSQL")
    else:
        assert found == []


def test_pooled_database_without_a_direct_one(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    database(monkeypatch, "postgresql")
    assert databases.pooled_database_without_a_direct_one() == []
    database(monkeypatch, "postgresql", DISABLE_SERVER_SIDE_CURSORS=True)
    only(databases.pooled_database_without_a_direct_one(), "roost.W007", "ROOST_DIRECT_DATABASE")
    settings.ROOST_DIRECT_DATABASE = "direct"
    assert databases.pooled_database_without_a_direct_one() == []


class SchedulesElsewhere:
    """A router that keeps one table of Roost off the default database."""

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **_hints: Any) -> bool | None:
        return False if (db, app_label, model_name) == ("default", "roost", "schedule") else None


def test_tables_split_over_databases() -> None:
    with override_settings(DATABASE_ROUTERS=[SchedulesElsewhere()]):
        only(databases.tables_split_over_databases(), "roost.E008", "Schedule", "default", "router")
    assert databases.tables_split_over_databases() == []
