"""An upgrade keeps what is there: forwards from every migration, with rows in place, and old code beside new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from runtime.models import WorkItem
from runtime.queries import verify
from runtime.testing import drain
from tests.runtime.generations import Generation, migrated, migrations

ALIAS = "upgraded"


@pytest.fixture
def empty_database(tmp_path: Path, django_db_setup: None, django_db_blocker: Any) -> Iterator[str]:
    """Give the alias of a database that has no table yet, on the server of the suite."""
    name = str(tmp_path / "upgraded.sqlite3") if connection.vendor == "sqlite" else f"roost_upgraded_{os.getpid()}"
    with django_db_blocker.unblock():
        _on_server(f"CREATE DATABASE {name}")
        connections.databases[ALIAS] = {**connection.settings_dict, "NAME": name}
        try:
            yield ALIAS
        finally:
            connections[ALIAS].close()
            del connections[ALIAS], connections.databases[ALIAS]
            _on_server(f"DROP DATABASE {name} WITH (FORCE)")


def _on_server(statement: str) -> None:
    if connection.vendor == "postgresql":
        with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
            cursor.execute(statement)


def remove(executor: MigrationExecutor) -> None:
    """Take all of Roost's tables away, as `migrate roost zero` does."""
    executor.loader.build_graph()
    executor.migrate([("roost", None)])


@pytest.mark.slow
def test_an_upgrade_from_any_migration_keeps_every_row_and_lets_items_go_on(empty_database: str) -> None:
    executor = MigrationExecutor(connections[empty_database])
    written, due, generations = [], [], []
    for name in migrations(executor):
        generations.append(migrated(empty_database, executor, name))
        written.extend(generations[-1].rows())
        due.append(generations[-1].item())
    today = generations[-1]
    for row in written:
        now = today.read(row.model, row.pk)
        assert {name: now.columns[name] for name in row.columns if name in now.columns} == row.columns
    # A worker of an earlier release, whose place nobody has taken yet, writes rows without what it does not know.
    due.extend(older(generation) for generation in generations)
    assert drain(using=empty_database, engines=["counter"]) == 2 * len(due)
    ended = WorkItem.objects.using(empty_database).filter(pk__in=due)
    assert set(ended.values_list("state", "version")) == {("done", 2)}
    assert [problem for pk in due for problem in verify.item(pk, using=empty_database)] == []
    remove(executor)
    tables = connections[empty_database].introspection.table_names()
    assert [name for name in tables if name.startswith("roost")] == []


def older(generation: Generation) -> object:
    """Write rows of all models of an earlier generation on today's tables; return an item that is due."""
    generation.rows()
    return generation.item()
