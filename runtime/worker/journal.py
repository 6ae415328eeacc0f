"""Write the begins and ends of recorded calls for all steps of a process: together, on a connection of its own.

Whatever is ready goes into one statement, so that fifty steps which call at once share a commit. A step goes on when
its own write is durable. While the database is away the writes wait and are sent again: sent twice, they count once.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from runtime.conf import settings as roost
from runtime.exceptions import CallAfterWrite, JournalRefused, JournalUnavailable
from runtime.journal.entries import Answer, End, Found, Write
from runtime.store.base import Store
from runtime.store.transactions import is_retryable, lock_not_available, sqlstate
from runtime.store.values import Held

logger = logging.getLogger("roost.worker")

BUSY_SECONDS = 0.01
LONGEST_WAIT = 2.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A write, who waits for it, and since when."""

    write: Write
    future: Future[Found] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class JournalWriter:
    """One thread that writes for everybody; it starts with the first write."""

    own_thread = False

    def __init__(self, store: Store, give_up: Callable[[], bool]) -> None:
        self._store = store
        self._give_up = give_up
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._again: list[_Waiting] = []
        self._pause = BUSY_SECONDS

    def write(self, write: Write) -> Found:
        """Wait until the write is durable and say what became of it. For a step in a thread of its own.

        Raises `CallAfterWrite` where the step's own transaction locks everybody else out, `JournalUnavailable` and
        `JournalRefused`.
        """
        if holds_the_write_lock(self._store.using):
            raise CallAfterWrite(
                f"ctx.run({write.place.key!r}) comes after the step's first write. On SQLite the step holds the only "
                f"write lock from there on, and the journal cannot write: make the calls first, and write afterwards."
            )
        return self._submit(write).result()

    async def awrite(self, write: Write) -> Found:
        """Do what `write()` does without blocking the event loop."""
        return await asyncio.wrap_future(self._submit(write))

    def rolled_back(self, held: Held) -> None:
        """Do nothing: what was written here was no part of the step's transaction."""

    def stop(self) -> None:
        """End the thread when it has written what is waiting."""
        with self._guard:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(None)
            thread.join(timeout=LONGEST_WAIT)

    def _submit(self, write: Write) -> Future[Found]:
        waiting = _Waiting(write)
        with self._guard:
            if self._closed:
                raise JournalUnavailable("The worker has ended; nothing is recorded any more.")
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="roost-journal", daemon=True)
                self._thread.start()
            self._queue.put(waiting)
        return waiting.future

    def _serve(self) -> None:
        try:
            open_ = True
            while open_ or self._again:
                ready, open_ = self._receive(open_)
                self._write_all(ready)
                if not open_ and self._give_up():
                    self._refuse(self._again, JournalUnavailable("The worker has ended."))
                    self._again = []
        finally:
            connections.close_all()

    def _receive(self, open_: bool) -> tuple[list[_Waiting], bool]:
        """Return what is to be written now, after waiting for something, and whether more may come."""
        ready, self._again = self._again, []
        if not open_:
            time.sleep(self._pause)
            return ready, False
        try:
            one = self._queue.get(timeout=self._pause if ready else None)
            while one is not None:
                ready.append(one)
                if len(ready) >= roost.COMMIT_BATCH:
                    return ready, True
                one = self._queue.get_nowait()
        except queue.Empty:
            return ready, True
        return ready, False

    def _write_all(self, ready: Sequence[_Waiting]) -> None:
        """Write, and never let an error end the thread: every step that calls waits for it."""
        try:
            self._write(ready)
        except Exception as error:
            logger.exception("writing the journal failed; going on")
            self._refuse(ready, error)

    def _write(self, ready: Sequence[_Waiting]) -> None:
        # A step that was cancelled makes no further call; but how a call ended is recorded all the same.
        ready = [one for one in ready if isinstance(one.write, End) or not one.future.cancelled()]
        if not ready:
            return
        try:
            answers = self._store.journal([one.write for one in ready])
        except (OperationalError, InterfaceError) as error:
            self._failed(ready, error)
        except (DatabaseError, ValueError) as error:
            self._apart(ready, error)
        except Exception as error:  # noqa: BLE001 - told to those who wait; the thread goes on
            self._refuse(ready, error)
        else:
            self._pause = BUSY_SECONDS
            for one, found in zip(ready, answers, strict=True):
                self._answer(one, found)

    def _answer(self, one: _Waiting, found: Found) -> None:
        if found.answer is Answer.BUSY:
            self._later(one, None)
        else:
            _settle(one.future, found)

    def _later(self, one: _Waiting, error: Exception | None) -> None:
        """Send a write again soon, unless it has been sent for too long."""
        fresh = time.monotonic() - one.since < roost.STATEMENT_TIMEOUT_MS / 1000
        # How a call has ended is never given up while the worker lives: the fence tells when it has lost its item.
        if fresh or (isinstance(one.write, End) and not self._give_up()):
            self._again.append(one)
            return
        why = error or "somebody keeps it locked"
        refused = JournalUnavailable(f"The journal of item {one.write.place.item} cannot be written: {why}.")
        refused.__cause__ = error
        _settle(one.future, refused)

    def _failed(self, ready: Sequence[_Waiting], error: Exception) -> None:
        """Sort out what an operational error means: the database is away, somebody is in the way, or a row is bad."""
        connection = connections[self._store.using]
        if connection.connection is None or not connection.is_usable():
            self._wait_for_the_database(ready, error)
        elif len(ready) == 1 or is_retryable(error) or lock_not_available(error):
            for one in ready:
                self._apart([one], error) if sqlstate(error).startswith("54") else self._later(one, error)
        else:
            self._halve(ready)

    def _wait_for_the_database(self, ready: Sequence[_Waiting], error: Exception) -> None:
        connections[self._store.using].close()
        if self._give_up():
            self._refuse(ready, JournalUnavailable("The database went away and the worker has to stop."))
            return
        logger.warning("the journal cannot be written: %s; trying again", error)
        self._pause = min(self._pause * 2, LONGEST_WAIT)
        self._again.extend(replace(one, since=time.monotonic()) for one in ready)

    def _apart(self, ready: Sequence[_Waiting], error: Exception) -> None:
        """Let the bad row fail alone."""
        if len(ready) > 1:
            self._halve(ready)
            return
        refused = JournalRefused(f"The database refused it: {error}")
        refused.__cause__ = error
        _settle(ready[0].future, refused)

    def _halve(self, ready: Sequence[_Waiting]) -> None:
        middle = len(ready) // 2
        self._write(ready[:middle])
        self._write(ready[middle:])

    @staticmethod
    def _refuse(ready: Sequence[_Waiting], error: Exception) -> None:
        for one in ready:
            _settle(one.future, error)


def _settle(future: Future[Found], answer: Found | Exception) -> None:
    """Tell who waits; nobody does any more when the step was cancelled."""
    if future.done() or not future.set_running_or_notify_cancel():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def holds_the_write_lock(using: str) -> bool:
    """Say whether this thread's transaction is the one that may write on SQLite."""
    connection = connections[using]
    raw = connection.connection
    return connection.vendor == "sqlite" and raw is not None and bool(raw.in_transaction)
