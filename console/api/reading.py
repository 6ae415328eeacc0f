"""Bound what a request may read: every statement has a time limit where the database is PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.conf import settings as roost
from runtime.store import work_database
from runtime.store.columns import reading_within

LIMIT = "SELECT set_config('statement_timeout', '{milliseconds}ms', true)"
"""Holds until the end of the transaction, and several statements that are sent at once are one."""


@contextmanager
def bounded() -> Iterator[None]:
    """Read, each statement for `ROOST_API_STATEMENT_MS` at most, and in a transaction of its own.

    Inside somebody's transaction its limits hold. SQLite has no such limit.
    """
    connection = connections[work_database()]
    if connection.vendor != "postgresql" or connection.in_atomic_block or _limited in connection.execute_wrappers:
        yield
    elif connection.settings_dict["OPTIONS"].get("server_side_binding"):
        with _one_transaction(connection):
            yield
    else:
        with connection.execute_wrapper(_limited), reading_within(_milliseconds()):
            yield


@contextmanager
def bounded_outside() -> Iterator[None]:
    """Give each statement outside of any transaction the limit of a read: what is read before a change, and after it.

    The transactions of operations have limits of their own, which hold.
    """
    connection = connections[work_database()]
    if connection.vendor != "postgresql":
        yield
    else:
        with connection.execute_wrapper(_limited_outside), reading_within(_milliseconds()):
            yield


def _milliseconds() -> int:
    return int(roost.API_STATEMENT_MS)


def _limit() -> str:
    return LIMIT.format(milliseconds=_milliseconds())


def _limited(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Send a statement together with its limit: a transaction around it would take three round trips more."""
    if many or sql.startswith("SET ") or _is_named(context["cursor"]):
        # How a transaction is isolated has to be said before anything else. A cursor on the server takes one statement,
        # and is used inside a transaction that another one has given its limit.
        return execute(sql, params, many, context)
    done = execute(f"{_limit()}; {sql}", params, many, context)
    context["cursor"].nextset()
    return done


def _limited_outside(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    connection = context["connection"]
    if connection.in_atomic_block or _limited in connection.execute_wrappers:
        return execute(sql, params, many, context)
    if connection.settings_dict["OPTIONS"].get("server_side_binding"):
        with _one_transaction(connection):
            return execute(sql, params, many, context)
    return _limited(execute, sql, params, many, context)


def _is_named(cursor: Any) -> bool:
    """Say whether the cursor is one on the server, for an iterator over rows."""
    return bool(getattr(cursor.cursor, "name", None))


@contextmanager
def _one_transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Read in one transaction: PostgreSQL takes only one statement at a time with parameters beside it."""
    with transaction.atomic(using=connection.alias):
        with connection.cursor() as cursor:
            cursor.execute(_limit())
        yield
