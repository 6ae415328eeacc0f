"""Say how to reach the server itself, past any pooler, and what does: LISTEN and session locks need that."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.conf import settings as roost

QUICK_TO_NOTICE = {
    "keepalives": 1,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    "connect_timeout": 5,
}
"""A connection that is lost without a word is noticed within seconds."""
DJANGOS = ("cursor_factory", "context", "prepare_threshold", "server_side_binding", "pool")


def parameters(using: str) -> dict[str, Any]:
    """Return what psycopg connects with: by ROOST_DIRECT_DATABASE, or by the work database where that is direct."""
    found = connections[roost.DIRECT_DATABASE or using].get_connection_params()
    return {**{name: value for name, value in found.items() if name not in DJANGOS}, **QUICK_TO_NOTICE}


def is_declared(using: str) -> bool:
    """Say whether nothing in the settings names this alias as one that a pooler stands behind."""
    pooled = connections[using].settings_dict.get("DISABLE_SERVER_SIDE_CURSORS")
    return roost.DIRECT_DATABASE in (None, using) and not pooled


def told_pid(connection: BaseDatabaseWrapper) -> int:
    """Return the process id that this client was told when it connected.

    That is its session's, unless a pooler stands in between, which makes ids up: it has to pass on cancel requests.
    """
    raw: Any = connection.connection
    return int(raw.info.backend_pid)
