"""Run the store's statements: prepared once a session, sent in one round trip, bounded, and retried when that is safe.

Django's cursors put parameters into the text, so PostgreSQL plans each statement anew: 0.4 ms for a commit, twice
what it takes to run. Roost's own statements go through psycopg's server-side cursor instead. Behind a transaction
pooler (`DISABLE_SERVER_SIDE_CURSORS`, as Django documents it) they are not prepared.

Outside a transaction a statement is its own transaction, and `GUARD` bounds its lock waits from within, which saves
the three round trips of BEGIN, SET and COMMIT. Inside one it leaves the timeouts alone: they are the transaction's.
Only `commit` bounds its wait there too: it is the last statement of an atomic step's transaction.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime import clock
from runtime.conf import settings as roost
from runtime.store import guard
from runtime.store.transactions import retried

Rows = list[tuple[Any, ...]]
_Statement = tuple[str, Sequence[Any]]

PLANS_LAST = 60
PLANS_LAST_SECONDS = 1.0
"""A session's plans are kept for at least so many statements and so long."""

DISCARD = "DISCARD PLANS"
UNSORTED = """
SELECT set_config('roost.enable_sort', current_setting('enable_sort'), true), set_config('enable_sort', 'off', true),
    set_config('roost.jit', current_setting('jit'), true), set_config('jit', 'off', true)
"""
"""Before PostgreSQL 18 a plan that sorts in spite of all counts as so dear that it would be compiled: for a second."""
SORTED = """
SELECT set_config('enable_sort', current_setting('roost.enable_sort'), true),
    set_config('jit', current_setting('roost.jit'), true)
"""
WITHIN = "SELECT set_config('statement_timeout', %s, true)"
SIZE = "SELECT pg_relation_size('roost_workitem')"
SIZED_SECONDS = 0.1
OUTGROWN = 2
OUTGROWN_BYTES = 64 * 1024
"""Plans will not do where the table of items is so many times as large as when they were made, and by so much more."""


@dataclass(slots=True)
class _Plans:
    """What a session's plans were made for: since when they are kept, statements sent since, and bytes of items.

    The bytes are known, since `sized_at`, where somebody has asked whether the plans are outgrown.
    """

    made_at: float
    sent: int = 0
    bytes: int | None = None
    sized_at: float = -math.inf

    def size(self, cursor: psycopg.Cursor[Any]) -> int:
        """Return how many bytes the table of items has now."""
        self.sized_at = time.monotonic()
        found: int = cursor.execute(SIZE, prepare=False).fetchall()[0][0]
        return found

    def discard(self, cursor: psycopg.Cursor[Any], size: int | None) -> None:
        """Begin anew."""
        cursor.execute(DISCARD, prepare=False)
        self.made_at, self.sent, self.bytes = time.monotonic(), 0, size


_plans: WeakKeyDictionary[psycopg.Connection[Any], _Plans] = WeakKeyDictionary()

GUARD = "(SELECT set_config('lock_timeout', coalesce(%s::text, current_setting('lock_timeout')), true)) AS guard"
"""To stand first in the FROM of a statement's first CTE; its parameter is `lock_timeout(using)`."""


def seconds(expression: str) -> str:
    """Return the SQL of an interval of so many seconds (or NULL), cut off where it would lead beyond the calendar."""
    return f"CASE WHEN {expression} > 2.5e11 THEN 2.5e11 ELSE {expression} END * interval '1 second'"


def lock_timeout(using: str) -> str | None:
    """Return the lock timeout that a statement sets for itself, None inside a transaction."""
    return None if connections[using].in_atomic_block else f"{roost.LOCK_TIMEOUT_MS}ms"


def _connected(using: str) -> BaseDatabaseWrapper:
    """Return the connection, there and as healthy as the settings ask for: what Django sees to before each cursor."""
    connection: BaseDatabaseWrapper = connections[using]
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    return connection


def rows(using: str, statement: str, params: Sequence[Any] = ()) -> Rows:
    """Run one statement and return its rows.

    Outside a transaction, deadlocks and serialization failures are retried: nothing was written then.
    Raises Django's database errors.
    """
    connection = _connected(using)
    guard.check(connection, statement)
    return retried(using, lambda: _send(connection, clock.sql(statement), params))


def rows_in_order(using: str, statement: str, params: Sequence[Any] = ()) -> Rows:
    """Do what `rows` does for a statement that goes through an index in its order, and takes the first rows of it.

    PostgreSQL is kept from sorting, for this statement alone and in the same round trip: where it knows nothing of a
    table, and so expects one row, it would as well read all rows by another index, for each of the descents, and sort.
    """
    connection = _connected(using)
    guard.check(connection, statement)
    return retried(using, lambda: _send_in_order(connection, clock.sql(statement), params))


def rows_within(using: str, statement: str, params: Sequence[Any], milliseconds: int) -> Rows:
    """Return the rows of a read that may take so long, outside of any transaction. One round trip.

    The database's time is in the statement already (`clock.moment`). Raises Django's database errors.
    """
    connection = _connected(using)
    return _send_set(connection, (WITHIN, [f"{milliseconds}ms"]), (statement, params))


def rows_of_each(using: str, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[Rows]:
    """Send statements that do not need each other's answers in one round trip and return the rows of each, in order.

    Each sees what the one before it left, with a snapshot of its own. Call it inside a transaction. Raises Django's
    database errors.
    """
    connection = connections[using]
    raw = connection.connection
    cursors: list[psycopg.RawCursor[Any]] = []
    prepare = _may_prepare(connection)
    with connection.wrap_database_errors:
        if prepare:
            _forget_old_plans(raw)
        with _threshold(raw, prepare=prepare), raw.pipeline():
            for text, params in statements:
                cursor = psycopg.RawCursor(raw)
                cursor.execute(_numbered(clock.sql(text)), params, prepare=prepare)
                cursors.append(cursor)
        return [_fetched(cursor) for cursor in cursors]


def _may_prepare(connection: BaseDatabaseWrapper) -> bool:
    return not connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")


@contextmanager
def _threshold(raw: psycopg.Connection[Any], *, prepare: bool) -> Iterator[None]:
    """Let psycopg prepare a statement at its first use, or never."""
    threshold = raw.prepare_threshold
    raw.prepare_threshold = 0 if prepare else None
    try:
        yield
    finally:
        raw.prepare_threshold = threshold


@lru_cache(maxsize=1024)
def _numbered(text: str) -> str:
    """Return a statement with its parameters numbered, as PostgreSQL takes it, `%%` being a percent sign.

    psycopg would look for them each time that it sends a statement of more than 4 kB. Raises `ValueError`.
    """
    numbers = count(1)

    def put(found: re.Match[str]) -> str:
        match found[1]:
            case "s":
                return f"${next(numbers)}"
            case "%":
                return "%"
            case other:
                raise ValueError(f"%{other} is neither %s nor %%.")

    return re.sub(r"%(.?)", put, text, flags=re.DOTALL)


def _fetched(cursor: psycopg.Cursor[Any]) -> Rows:
    """Return the rows of a statement, none of one that has none: what tells that else describes every column."""
    result = cursor.pgresult
    return cursor.fetchall() if result is not None and result.nfields else []


def _send(connection: BaseDatabaseWrapper, text: str, params: Sequence[Any]) -> Rows:
    raw = connection.connection
    prepare = _may_prepare(connection)
    with _threshold(raw, prepare=prepare), connection.wrap_database_errors, psycopg.RawCursor(raw) as cursor:
        if prepare:
            _forget_old_plans(raw)
        cursor.execute(_numbered(text), params, prepare=prepare)
        return _fetched(cursor)


def _send_in_order(connection: BaseDatabaseWrapper, text: str, params: Sequence[Any]) -> Rows:
    undo = (SORTED, ()) if connection.in_atomic_block else None
    return _send_set(connection, (UNSORTED, ()), (text, params), undo)


def _send_set(
    connection: BaseDatabaseWrapper, setting: _Statement, statement: _Statement, undo: _Statement | None = None
) -> Rows:
    """Send a statement together with what sets its session up: outside a transaction, for this statement alone."""
    raw = connection.connection
    prepare = _may_prepare(connection)
    with connection.wrap_database_errors:
        if prepare:
            _forget_old_plans(raw)
        cursor = psycopg.RawCursor(raw)
        # Outside a transaction the pipeline is one, and the setting ends with it.
        with _threshold(raw, prepare=prepare), raw.pipeline():
            psycopg.RawCursor(raw).execute(_numbered(setting[0]), setting[1], prepare=prepare)
            cursor.execute(_numbered(statement[0]), statement[1], prepare=prepare)
            if undo is not None:
                psycopg.RawCursor(raw).execute(_numbered(undo[0]), undo[1], prepare=prepare)
        return _fetched(cursor)


def forget_plans(using: str) -> None:
    """Have this session plan its statements anew, those behind its foreign keys too, which are checked at the commit.

    Those of a session that began on small tables read whole tables: after thousands of new rows that is a matter of
    seconds.
    """
    connection = connections[using]
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(DISCARD, prepare=False)


def forget_outgrown_plans(using: str) -> None:
    """Have this session plan its statements anew where the table of items has outgrown their plans.

    For who begins to work after a rest, in which the sent statements were few. What finds one lane, or priority, after
    the other by a descent of an index each is planned to read all of an empty table for each instead: at no cost, until
    somebody enqueues five thousand items. Asks the database every tenth of a second at the most.
    """
    connection = _connected(using)
    raw = connection.connection
    plans = _plans_of(raw)
    if not _may_prepare(connection) or time.monotonic() - plans.sized_at < SIZED_SECONDS:
        return
    with connection.wrap_database_errors, psycopg.Cursor(raw) as cursor:
        size = plans.size(cursor)
        if plans.bytes is None or size > OUTGROWN * plans.bytes + OUTGROWN_BYTES:
            plans.discard(cursor, size)
        # What VACUUM cuts off a table has PostgreSQL plan anew, for the little that is left.
        plans.bytes = size if plans.bytes is None else min(plans.bytes, size)


def _plans_of(raw: psycopg.Connection[Any]) -> _Plans:
    plans = _plans.get(raw)
    if plans is None:
        plans = _plans[raw] = _Plans(time.monotonic())
    return plans


def _forget_old_plans(raw: psycopg.Connection[Any]) -> None:
    """Let a busy session's statements be planned anew now and then.

    A plan made while a table was small reads all of it, and PostgreSQL keeps the plan until the next ANALYZE, which a
    growing backlog would not survive.
    """
    plans = _plans_of(raw)
    if plans.sent >= PLANS_LAST and time.monotonic() - plans.made_at >= PLANS_LAST_SECONDS:
        with psycopg.Cursor(raw) as cursor:
            plans.discard(cursor, None if plans.bytes is None else plans.size(cursor))
    plans.sent += 1
