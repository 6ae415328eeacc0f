"""Open the store's transactions, and run them again when the database asks for that.

A transaction that the store opens itself is short and bounded: on PostgreSQL every statement in it has the lock and
statement timeouts of the settings, on SQLite it takes the write lock at once (BEGIN IMMEDIATE), so that reading before
writing is safe and never ends in a busy error half-way. Inside a caller's transaction it is a savepoint.
"""

from __future__ import annotations

import random
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import OperationalError, connections, transaction

from runtime.conf import settings as roost

T = TypeVar("T")

TIMEOUTS = "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)"
"""Bounds every later statement of this transaction, in one round trip."""

BRIEFLY = "SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)"

AGAIN_SQLSTATES = frozenset({"40P01", "40001"})
"""Deadlock detected, serialization failure: the transaction was undone and may simply be run again."""

LOCK_NOT_AVAILABLE = "55P03"
"""A lock was not to be had within the lock timeout."""

UNDEFINED_SQLSTATES = frozenset({"42P01", "42703"})
"""An undefined table, an undefined column."""
UNDEFINED_SQLITE = re.compile(r"no such (table|column): |table \w+ has no column ")
"""The same in SQLite's words, which has no codes for it."""

AGAIN_SQLITE = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})

ATTEMPTS = 6
PAUSE_SECONDS = 0.01
PATIENCE_SECONDS = 30.0

_impatience: ContextVar[int | None] = ContextVar("roost_impatience", default=None)


@contextmanager
def begin(using: str, *, savepoint: bool = True, bounded: bool = True, lock_ms: int | None = None) -> Iterator[None]:
    """Run the block in a transaction that commits at its end; not `bounded`, the block sets its timeouts itself.

    `lock_ms` bounds lock waits otherwise than the setting does.

    Inside an open atomic block it is a nested one (a savepoint, unless `savepoint` is False) and nothing else changes:
    the caller's isolation and timeouts hold, and the caller's commit decides.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        with transaction.atomic(using=using, savepoint=savepoint):
            yield
        return
    with _write_lock_at_once(using), transaction.atomic(using=using):
        if bounded and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(TIMEOUTS, timeouts(lock_ms=lock_ms))
        yield


def timeouts(*, lock_ms: int | None = None) -> list[str]:
    """Return the parameters of TIMEOUTS; `lock_ms` bounds lock waits otherwise than the setting does."""
    bounds = [bound for bound in (lock_ms, _impatience.get()) if bound is not None]
    return [f"{min(bounds, default=roost.LOCK_TIMEOUT_MS)}ms", f"{roost.STATEMENT_TIMEOUT_MS}ms"]


@contextmanager
def briefly(using: str, lock_ms: int) -> Iterator[None]:
    """Let no statement of the block, a savepoint, wait longer than this for a lock; afterwards all is as before.

    For PostgreSQL, inside a transaction. Raises `OperationalError` (`lock_not_available`), with the locks of the block
    given up.
    """
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(BRIEFLY, [f"{min(lock_ms, roost.LOCK_TIMEOUT_MS)}ms"])
        before = cursor.fetchone()[0]
        yield
        cursor.execute(BRIEFLY, [before])


@contextmanager
def impatiently(lock_ms: int) -> Iterator[None]:
    """Let no transaction that begins in the block wait longer than this for a lock."""
    token = _impatience.set(min(lock_ms, roost.LOCK_TIMEOUT_MS, _impatience.get() or lock_ms))
    try:
        yield
    finally:
        _impatience.reset(token)


@contextmanager
def _write_lock_at_once(using: str) -> Iterator[None]:
    """Let a transaction begun in the block be an immediate one on SQLite, whatever the alias is set to.

    The mode is an attribute of the connection that Django sets when it connects; it is put back afterwards.
    """
    connection: Any = connections[using]
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    before = connection.transaction_mode
    connection.transaction_mode = "IMMEDIATE"
    try:
        yield
    finally:
        connection.transaction_mode = before


def retried(using: str, work: Callable[[], T]) -> T:
    """Run `work`, which opens and ends a whole transaction, again while the database undoes it for no fault of its own.

    Deadlocks, serialization failures and SQLite's "database is locked" are retried a few times, with growing, jittered
    pauses; the last one is raised. Inside an outer atomic block `work` runs once: only its owner can start that anew.
    """
    if connections[using].in_atomic_block:
        return work()
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    for attempt in range(1, ATTEMPTS):
        try:
            return work()
        except OperationalError as error:
            if not is_retryable(error) or time.monotonic() >= give_up_at:
                raise
        time.sleep(PAUSE_SECONDS * 2**attempt * random.random())  # noqa: S311 - spreads load, guards nothing
    return work()


def transacted(using: str, work: Callable[[], T], *, lock_ms: int | None = None) -> T:
    """Run `work` in a transaction of its own and retry it whole; inside an outer atomic block it joins that."""

    def whole() -> T:
        with begin(using, lock_ms=lock_ms):
            return work()

    return retried(using, whole)


def is_lost(using: str, session: object) -> bool:
    """Say whether a session, the `connection` of Django's wrapper as it was, has ended.

    Asking whether the connection can be used is not enough: Django connects again where a transaction ends in a loss.
    """
    connection = connections[using]
    return connection.connection is None or connection.connection is not session or not connection.is_usable()


def is_retryable(error: BaseException) -> bool:
    """Say whether the database undid a transaction because of other transactions, so that running it again may help."""
    cause = error.__cause__ or error
    if sqlstate(error) in AGAIN_SQLSTATES:
        return True
    code = getattr(cause, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in AGAIN_SQLITE


def sqlstate(error: BaseException) -> str:
    """Return PostgreSQL's code of a database error, empty where there is none."""
    return str(getattr(error.__cause__ or error, "sqlstate", None) or "")


def not_migrated(error: BaseException) -> bool:
    """Say whether a table or a column is not there: Roost's tables were not made yet, or are older than this code."""
    return sqlstate(error) in UNDEFINED_SQLSTATES or UNDEFINED_SQLITE.match(str(error)) is not None


def lock_not_available(error: BaseException) -> bool:
    """Say whether somebody else kept a lock for longer than the lock timeout: nothing was written."""
    return sqlstate(error) == LOCK_NOT_AVAILABLE
