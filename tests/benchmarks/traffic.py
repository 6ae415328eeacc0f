"""Count what workers send to the server, from the server's side."""

from __future__ import annotations

import re
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from django.db import connection

_STATEMENT = re.compile(rb"LOG:  (?:statement|execute [^:]*): ", re.MULTILINE)
_COMMITS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


class Traffic:
    """Transactions of the whole database, and statements of the sessions opened with `options`.

    Statements are read from the server's log, so they are known (not None) only where the log can be read: on a
    private server.
    """

    def __init__(self, server_log: Path | None) -> None:
        self._log = server_log
        self.options = "-c log_statement=all" if server_log is not None else ""
        self.commits = 0
        self.statements: int | None = None

    def __enter__(self) -> Self:
        self._before = self._commits()
        self._from = self._log.stat().st_size if self._log is not None else 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.commits = self._commits() - self._before
        if self._log is not None:
            with self._log.open("rb") as file:
                file.seek(self._from)
                self.statements = len(_STATEMENT.findall(file.read()))

    @staticmethod
    def _commits() -> int:
        time.sleep(1.2)  # sessions hand in their counts at most once a second
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(_COMMITS)
            return int(cursor.fetchone()[0])
