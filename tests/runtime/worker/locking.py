"""Rows that somebody else keeps locked, in another session."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from runtime.models import WorkItem


@contextmanager
def locked(*items: UUID, does: Callable[[UUID], Any] | None = None) -> Iterator[None]:
    """Keep the rows of these items locked while the block runs, after doing something to each."""
    if connections["default"].vendor != "postgresql":
        pytest.skip("SQLite has no row locks")
    held, over = threading.Event(), threading.Event()

    def keep_locked() -> None:
        try:
            with transaction.atomic():
                list(WorkItem.objects.select_for_update().filter(pk__in=items))
                for item in items if does is not None else ():
                    does(item)
                held.set()
                over.wait(20)
        finally:
            connections.close_all()

    product = threading.Thread(target=keep_locked)
    product.start()
    assert held.wait(20)
    try:
        yield
    finally:
        over.set()
        product.join()


@contextmanager
def locked_elsewhere(pk: UUID, table: str = "roost_worker", key: str = "id") -> Iterator[None]:
    """Let somebody else keep a row locked, a worker's if nothing else is said, while the block runs."""
    beside = connection.copy()
    try:
        beside.set_autocommit(False)
        with beside.cursor() as cursor:
            cursor.execute(f"SELECT FROM {table} WHERE {key} = %s FOR UPDATE", [pk])
        yield
    finally:
        beside.close()
