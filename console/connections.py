"""Hold a connection for no longer than it is used, nor because of ATOMIC_REQUESTS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections, transaction

from runtime.store import work_database

V = TypeVar("V", bound=Callable[..., Any])


def alone(view: V) -> V:
    """Mark a view that opens its transactions itself: it holds no connection while it waits, or reads a body."""
    for alias in connections.settings:
        transaction.non_atomic_requests(using=alias)(view)
    return view


def give_back_connection() -> None:
    """Let others of the pool have the connection; without a pool it stays, since a new one costs more than it."""
    connection = connections[work_database()]
    if connection.settings_dict.get("OPTIONS", {}).get("pool") and not connection.in_atomic_block:
        connection.close()
