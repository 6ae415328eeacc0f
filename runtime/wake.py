"""Hint to workers that there may be something to do.

Hints are a courtesy: nothing depends on one arriving, since every worker looks by itself at least once a second.
On PostgreSQL a hint is a NOTIFY in a statement of its own, outside the write that it tells of; hints of one process
are coalesced, and the trailing one is always sent. Elsewhere a worker in the same process is woken directly and the
others poll.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable

from django.db import DatabaseError, connections

CHANNEL = "roost_wake"
RECALL = "recall:"
SCHEDULES = "schedules"
COALESCE_SECONDS = 0.005
LINGER_SECONDS = 0.05
STUCK_SECONDS = 0.1
LEAVE_SECONDS = 0.2
"""How long a process that ends waits for its last hints."""

logger = logging.getLogger("roost.wake")
_local_listeners: list[Callable[[str], None]] = []


class _Coalescer:
    """Sends at most one hint per interval and database, and always the last one.

    Hints that have to wait are sent by a thread with a connection of its own. It stays while hints keep coming, since
    a connection for each would cost more than everything else about an enqueue, and ends when they cease. While it is
    there it sends every hint: who enqueues does not wait for an answer then that says nothing. One that does not get on
    is left alone, and who enqueues sends again.
    """

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Know of no hints and no sender: those of the process that this one was forked from are not here."""
        self._changed = threading.Condition()
        self._sent: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._began: float | None = None
        self._sender: threading.Thread | None = None

    def hint(self, using: str) -> None:
        with self._changed:
            if self._left_to_sender(using):
                return
            self._sent[using] = time.monotonic()
        notify(using, "")

    def _left_to_sender(self, using: str) -> bool:
        now = time.monotonic()
        there = self._sender is not None and self._sender.is_alive()
        if there and self._began is not None and now - self._began > STUCK_SECONDS:
            return False
        if not there and self._sent.get(using, 0.0) + COALESCE_SECONDS <= now:
            return False
        if there and using in self._waiting:
            return True
        self._waiting.add(using)
        self._changed.notify_all()
        if there or self._start():
            return True
        self._waiting.discard(using)
        return False

    def _start(self) -> bool:
        """Start a sender; say whether there is a thread to be had."""
        sender = threading.Thread(target=self._send, name="roost-wake", daemon=True)
        try:
            sender.start()
        except RuntimeError:
            return False
        self._sender = sender
        return True

    def _send(self) -> None:
        try:
            while (using := self._next()) is not None:
                _attempt(using)
                self._ended()
        finally:
            connections.close_all()

    def _next(self) -> str | None:
        """Wait until a hint is due and return its database; None, and no sender any more, when none came for long."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, LINGER_SECONDS):
                self._sender = None
                return None
            using = min(self._waiting, key=lambda one: self._sent.get(one, 0.0))
        time.sleep(max(0.0, self._sent.get(using, 0.0) + COALESCE_SECONDS - time.monotonic()))
        with self._changed:
            self._waiting.discard(using)
            self._sent[using] = self._began = time.monotonic()
        return using

    def _ended(self) -> None:
        with self._changed:
            self._began = None
            self._changed.notify_all()

    def settle(self, seconds: float) -> bool:
        """Wait until the sender has nothing to send, for so long; say whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and self._began is None, seconds)


def _attempt(using: str) -> None:
    """Send a hint whatever becomes of it: one that fails costs a poll interval, a thread that ends with it the rest.

    A session that has failed is not used again: here no end of a request would look after it.
    """
    try:
        notify(using, "")
        if connections[using].errors_occurred:
            connections[using].close()
    except Exception:  # a listener's, or a database that this process may not use any more
        logger.info("a hint could not be sent", exc_info=True)


_coalescer = _Coalescer()


def settle(seconds: float = 5.0) -> bool:
    """Wait until the hints that had to wait are sent, for so long at the most; say whether that is so."""
    return _coalescer.settle(seconds)


# What a short process enqueued last is told of, too, and who is forked begins without what its parent was sending.
atexit.register(settle, LEAVE_SECONDS)
os.register_at_fork(after_in_child=_coalescer.begin_anew)


def hint(using: str) -> None:
    """Tell workers to look for due items. Call after the commit."""
    _coalescer.hint(using)


def recall(using: str, item: uuid.UUID) -> None:
    """Tell the worker that holds the item to look at its leases now. Call after the commit."""
    notify(using, f"{RECALL}{item}")


def reschedule(using: str) -> None:
    """Tell workers to look at the schedules: one was set. Call after the commit."""
    notify(using, SCHEDULES)


def listen_locally(listener: Callable[[str], None]) -> Callable[[], None]:
    """Call `listener(payload)` for hints made in this process; return what ends that."""
    _local_listeners.append(listener)

    def stop() -> None:
        if listener in _local_listeners:
            _local_listeners.remove(listener)

    return stop


def notify(using: str, payload: str) -> None:
    """Send one notice; a failure costs a poll interval and is logged, nothing more."""
    for listener in tuple(_local_listeners):
        listener(payload)
    send(using, CHANNEL, payload)


def send(using: str, channel: str, payload: str) -> None:
    """Send one notice over a channel of PostgreSQL's, nothing elsewhere; a failure is logged, nothing more."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])
    except DatabaseError:
        logger.info("a notice could not be sent", exc_info=True)
