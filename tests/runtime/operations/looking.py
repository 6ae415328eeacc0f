"""Look at what an operation left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections

from runtime import wake
from runtime.models import Event, WorkItem
from runtime.signals import items_enqueued
from runtime.wake import listen_locally

PATIENCE = 20.0
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


def fresh(item: WorkItem) -> WorkItem:
    """Return the item as it is stored now."""
    found: WorkItem = WorkItem.objects.get(pk=item.pk)
    return found


def last_event(item: WorkItem) -> Event:
    """Return the item's newest event, having made sure that its history has no gap."""
    events = list(Event.objects.filter(work_item=item.pk).order_by("seq"))
    assert [event.seq for event in events] == list(range(1, fresh(item).event_seq + 1))
    return events[-1]


def values(item: WorkItem) -> dict[str, Any]:
    """Return every column of the item and the number of its events, to see that nothing changed."""
    row = WorkItem.objects.filter(pk=item.pk).values().get()
    return {**row, "events": Event.objects.filter(work_item=item.pk).count()}


@contextmanager
def told() -> Iterator[list[Any]]:
    """Collect the wake-up hints and the ids that are announced while the block runs, and not those of before.

    A hint may go out a moment after what it tells of: `wake.settle()` waits for that.
    """
    assert wake.settle()
    heard: list[Any] = []

    def enqueued(*, ids: Iterable[Any], **_more: Any) -> None:
        heard.extend(ids)

    items_enqueued.connect(enqueued)
    stop = listen_locally(heard.append)
    try:
        yield heard
    finally:
        stop()
        items_enqueued.disconnect(enqueued)


class Caller(threading.Thread):
    """A caller in a thread and a database session of its own; `result()` gives or raises what it came to."""

    def __init__(self, call: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.call = call
        self.answer: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Call, and leave no connection open."""
        try:
            self.answer = self.call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever asks for the result
            self.error = error
        finally:
            connections.close_all()

    def result(self) -> Any:
        """Wait for the end."""
        self.join(PATIENCE)
        assert not self.is_alive(), "the caller is still at it"
        if self.error is not None:
            raise self.error
        return self.answer


def wait_until_blocked() -> None:
    """Wait until some session waits for a lock; SQLite has no witness for that, and its writers queue up anyway."""
    if connection.vendor == "sqlite":
        return
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute(BLOCKED)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for a lock")
