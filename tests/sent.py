"""See what is sent to PostgreSQL past Django's cursors."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest


def sent_by_hand(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each statement of the store's own sessions."""
    statements: list[str] = []
    send = psycopg.Cursor.execute

    def execute(cursor: Any, query: Any, *values: Any, **options: Any) -> Any:
        if type(cursor) in (psycopg.Cursor, psycopg.RawCursor):
            statements.append(query)
        return send(cursor, query, *values, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    return statements
