"""Empty the database after a test that committed, without making again what no test changes.

Django's flush removes the content types and the permissions as well, and then has every app make its own again: that
took longer than most of the tests. They stay, unless a test has added or removed some. And it truncates every table,
which costs PostgreSQL new files for all of them; a few rows are deleted in a hundredth of that time.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connections
from django.test import TransactionTestCase

KEPT = ("auth_permission", "django_content_type")
FEW = 200
LOOK = (
    f"SELECT '{{name}}', EXISTS (SELECT 1 FROM {{table}} LIMIT 1 OFFSET {FEW}) WHERE EXISTS (SELECT 1 FROM {{table}})"
)
COUNT = "SELECT (SELECT count(*) FROM auth_permission), (SELECT count(*) FROM django_content_type)"


def empty_after(case: TransactionTestCase) -> None:
    """Stand in for `TransactionTestCase._fixture_teardown`."""
    for using in case._databases_names(include_mirrors=False):
        empty(using)


def empty(using: str) -> None:
    """Remove every row, but for what is kept; if there is more or less of that than was migrated, make it again."""
    connection = connections[using]
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    if not set(KEPT) <= set(tables) or kept(using) != migrated(using):
        call_command("flush", verbosity=0, interactive=False, database=using, reset_sequences=False)
        return
    full = _full(using, sorted(set(tables) - set(KEPT)))
    many = [table for table, is_many in full.items() if is_many]
    few = [f"DELETE FROM {connection.ops.quote_name(table)}" for table, is_many in full.items() if not is_many]
    # Whoever refers to one of many is emptied too; what is kept refers to nothing else.
    connection.ops.execute_sql_flush([*connection.ops.sql_flush(no_style(), many, allow_cascade=True), *few])


def _full(using: str, tables: list[str]) -> dict[str, bool]:
    """Return the tables that have rows, and whether these are more than a few."""
    connection = connections[using]
    looks = [LOOK.format(name=name, table=connection.ops.quote_name(name)) for name in tables]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks))
        return dict(cursor.fetchall())


@cache
def migrated(using: str) -> Any:
    """Return how much the migrations have made; to be asked before a test can change it."""
    return kept(using)


def kept(using: str) -> Any:
    """Return how many permissions and content types there are."""
    with connections[using].cursor() as cursor:
        cursor.execute(COUNT)
        return cursor.fetchone()
