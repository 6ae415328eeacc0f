"""Keep what an atomic step calls from writing to the work database in the step's own transaction.

A recorded call is not made again when its step is. Rows that it wrote in the step's transaction would be gone with the
step's first failure and never come back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.exceptions import WriteInCall

_COMMENTS = re.compile(r"\A(?:\s|/\*.*?\*/|--[^\n]*\n)*", re.DOTALL)
_READS = ("SELECT", "PRAGMA", "EXPLAIN", "SHOW", "VALUES", "SET ", "(")
_SAVEPOINTS = ("SAVEPOINT", "RELEASE SAVEPOINT", "ROLLBACK TO SAVEPOINT")
_CHANGES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE)\b")


def reads_only(sql: str, vendor: str) -> bool:
    """Say whether a statement changes nothing. On SQLite a savepoint counts as a change: it may open a transaction."""
    # On SQLite a savepoint would open the step's transaction, which locks the journal out.
    allowed = _READS + (_SAVEPOINTS if vendor == "postgresql" else ())
    text = _COMMENTS.sub("", sql, count=1).upper()
    return text.startswith(allowed) or (text.startswith("WITH") and not _CHANGES.search(text))


class Guard:
    """Refuses statements that write; an execute wrapper of Django's."""

    def __init__(self, vendor: str) -> None:
        self._vendor = vendor
        self.refused = False

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        self.check(sql)
        return execute(sql, params, many, context)

    def check(self, sql: str) -> None:
        """Raise `WriteInCall` unless the statement only reads."""
        if reads_only(sql, self._vendor):
            return
        self.refused = True
        raise WriteInCall(
            "What ctx.run() calls wrote to the work database, in the step's transaction: when the step fails, the rows "
            "are gone, and the call is not made again. Write them in the step, with the result of the call."
        )


@contextmanager
def refusing_writes(using: str) -> Iterator[None]:
    """Refuse writes through this thread's connection to the database while the block runs."""
    connection = connections[using]
    guard = Guard(connection.vendor)
    needs_rollback = connection.needs_rollback
    # Outermost, so that on SQLite not even the wrapper that opens the step's transaction sees the statement.
    connection.execute_wrappers.insert(0, guard)
    try:
        yield
    finally:
        connection.execute_wrappers.remove(guard)
        if guard.refused:
            # Django marks the transaction as broken, but the database has seen nothing.
            connection.needs_rollback = needs_rollback


@contextmanager
def lifted(using: str) -> Iterator[None]:
    """Let writes pass while the block runs: those of the journal itself."""
    connection = connections[using]
    before = connection.execute_wrappers
    connection.execute_wrappers = [wrapper for wrapper in before if not isinstance(wrapper, Guard)]
    try:
        yield
    finally:
        connection.execute_wrappers = before


def check(connection: BaseDatabaseWrapper, sql: str) -> None:
    """Ask the guards of a connection about a statement that does not go through Django's cursors."""
    for wrapper in connection.execute_wrappers:
        if isinstance(wrapper, Guard):
            wrapper.check(sql)
