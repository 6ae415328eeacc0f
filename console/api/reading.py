"""Bound what a request may read: every statement has a time limit where the database is PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

from runtime.conf import settings as roost
from runtime.store import work_database

LIMIT = "SELECT set_config('statement_timeout', %s, true)"


@contextmanager
def bounded() -> Iterator[None]:
    """Read in a transaction of its own, each statement for `ROOST_API_STATEMENT_MS` at most.

    Inside somebody's transaction its limits hold. SQLite has no such limit.
    """
    using = work_database()
    connection = connections[using]
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield
        return
    with transaction.atomic(using=using):
        with connection.cursor() as cursor:
            cursor.execute(LIMIT, [f"{roost.API_STATEMENT_MS}ms"])
        yield
