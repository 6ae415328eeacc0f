"""Count what workers send to the server, from the server's side."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from django.db import connection

_STATEMENT = re.compile(rb"\[(\d+)\] LOG:  (?:statement|execute [^:]*):\s+(\w+)")
_COMMITS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


class Traffic:
    """Transactions and statements of the sessions opened with `options`, read from the server's log.

    Where the log cannot be read (not a private server), `commits` are those of the whole database, from its
    statistics, and `statements` is None.
    """

    def __init__(self, server_log: Path | None) -> None:
        self._log = server_log
        self.options = "-c log_statement=all" if server_log is not None else ""
        self.commits = 0
        self.statements: int | None = None

    def __enter__(self) -> Self:
        if self._log is not None:
            self._from = self._log.stat().st_size
        else:
            self._before = _commits()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._log is None:
            self.commits = _commits() - self._before
            return
        with self._log.open("rb") as file:
            file.seek(self._from)
            self.statements, self.commits = _count(file.read())


def _count(log: bytes) -> tuple[int, int]:
    """Return the statements in a piece of log, and the transactions that they made."""
    inside: set[bytes] = set()
    statements = transactions = 0
    for session, word in _STATEMENT.findall(log):
        statements += 1
        if word.upper() == b"BEGIN":
            inside.add(session)
        elif word.upper() in {b"COMMIT", b"ROLLBACK"}:
            inside.discard(session)
            transactions += 1
        elif session not in inside:
            transactions += 1
    return statements, transactions


def _commits() -> int:
    time.sleep(1.2)  # sessions hand in their counts at most once a second
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(_COMMITS)
        return int(cursor.fetchone()[0])
