"""Pick the store of a database."""

from __future__ import annotations

from functools import cache

from django.db import connections, router

from runtime import faults
from runtime.conf import settings as roost
from runtime.store.base import Store


def work_database() -> str:
    """Return the alias of the database that holds Roost's tables."""
    from runtime.models import WorkItem

    return roost.DATABASE or router.db_for_write(WorkItem)


def get_store(using: str | None = None) -> Store:
    """Return the store of database `using`, by default the work database."""
    return _make(using or work_database(), connections[using or work_database()].vendor)


@cache
def _make(using: str, vendor: str) -> Store:
    store = _store(using, vendor)
    if faults.armed():
        from runtime.store.faulty import with_points

        return with_points(store)
    return store


def _store(using: str, vendor: str) -> Store:
    if vendor == "postgresql":
        from runtime.store.postgres import PostgresStore

        return PostgresStore(using)
    from runtime.store.portable import PortableStore

    return PortableStore(using)
