"""Register a worker process, so that others can tell whether it lives, and say goodbye for it.

On PostgreSQL a direct connection (`Link`) holds a session-level advisory lock from before the Worker row is written
until the process ends: whoever finds it free knows that the process, or its host, is gone. The same connection listens
for wake-ups.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from django.db import OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime import clock, faults, wake
from runtime.choices import WorkerState
from runtime.models import Worker
from runtime.models.workitem import new_id
from runtime.store import direct
from runtime.store.transactions import lock_not_available, transacted
from runtime.worker.liveness import own_identity
from runtime.worker.options import WorkerOptions
from runtime.worker.versions import versions

logger = logging.getLogger("roost.worker")

SESSION_SQL = "SET client_connection_check_interval = '1s'"
PATIENCE_MS = 100
"""How long a worker waits for its own row where somebody else has it locked: its steps are worth more than what the row
says of it, and whoever finds it dead says that it is gone."""
AGAIN_SECONDS = 2.0
"""Between two attempts to note the database sessions in a row that was locked."""

BACKEND_SQL = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"


def lock_key(worker: uuid.UUID) -> int:
    """Return the advisory lock key of a worker: 64 bits of its id, signed."""
    return int.from_bytes(worker.bytes[8:], "big", signed=True)


class Registration:
    """This process's row in the table of workers."""

    def __init__(self, options: WorkerOptions, engines: list[str], using: str) -> None:
        self.id = new_id()
        self._options = options
        self._engines = engines
        self._using = using
        self._sessions: dict[int, tuple[Any, list[Any] | None]] = {}
        self._guard = threading.Lock()
        self._note_at: float | None = None

    def enter(self) -> None:
        """Write the row. May be called again when the answer to the first time was lost."""
        me = own_identity()
        now = clock.now(self._using)
        postgres = connections[self._using].vendor == "postgresql"
        row = Worker(
            id=self.id,
            host=me.host,
            boot_id=me.boot_id,
            pid_namespace=me.pid_namespace,
            pid=me.pid,
            process_started=me.process_started,
            lock_key=lock_key(self.id) if postgres else None,
            engines=self._engines,
            pools=list(self._options.pools),
            versions=versions(),
            capacity=self._options.concurrency,
            started_at=now,
            heartbeat_at=now,
        )
        with faults.around("worker"):
            Worker.objects.using(self._using).bulk_create([row], ignore_conflicts=True)

    def leave(self) -> None:
        """Mark the worker as gone. Raises `OperationalError` where somebody keeps the row locked."""
        self._write(state=WorkerState.OFFLINE, stopped_at=clock.now(self._using))

    def draining(self) -> None:
        """Mark the worker as finishing what it has. Raises `OperationalError` where somebody keeps the row locked."""
        self._write(state=WorkerState.DRAINING)

    def _write(self, **values: Any) -> None:
        row = Worker.objects.using(self._using).filter(pk=self.id)
        with faults.around("worker"):
            transacted(self._using, partial(row.update, **values), lock_ms=PATIENCE_MS)

    def add_session(self) -> None:
        """Prepare this thread's database session and note it, so that whoever takes over can end it.

        Does nothing for a session that it knows; a new one of the same thread takes the old one's place. What lies
        behind a pooler is left alone: it serves others when this thread's transaction is over. Where somebody keeps the
        worker's row locked, what is to be noted there is noted by a later call.
        """
        connection = connections[self._using]
        if connection.vendor != "postgresql":
            return
        connection.ensure_connection()
        thread = threading.get_ident()
        known = thread in self._sessions and self._sessions[thread][0] is connection.connection
        if known and not self._is_to_note():
            return
        backend = self._sessions[thread][1] if known else None
        if not known and direct.is_declared(self._using):
            backend = _prepare(connection)
        with self._guard:
            self._sessions[thread] = (connection.connection, backend)
            # Whoever had the guard before may have noted all, or waited for the row in vain.
            if not known or self._is_to_note():
                self._note_sessions()

    def _is_to_note(self) -> bool:
        """Say whether to try again what a locked row did not take."""
        return self._note_at is not None and time.monotonic() >= self._note_at

    def _note_sessions(self) -> None:
        backends = [backend for _, backend in self._sessions.values() if backend is not None]
        try:
            self._write(backend_pids=backends)
        except OperationalError as error:
            if not lock_not_available(error):
                raise
            self._note_at = time.monotonic() + AGAIN_SECONDS
        else:
            self._note_at = None


def _prepare(connection: BaseDatabaseWrapper) -> list[Any] | None:
    """Let the server notice soon that this session's client is gone; return who serves it, None behind a pooler."""
    with connection.cursor() as cursor:
        cursor.execute(BACKEND_SQL)
        pid, started = cursor.fetchone()
        if pid != direct.told_pid(connection):
            return None
        cursor.execute(SESSION_SQL)
    return [pid, started]


class Link(threading.Thread):
    """The direct connection: holds the liveness lock and listens for wake-ups, and comes back when it is lost."""

    def __init__(self, worker: uuid.UUID, using: str, hear: Callable[[str], None]) -> None:
        super().__init__(name="roost-link", daemon=True)
        self._worker = worker
        self._using = using
        self._hear = hear
        self._connection: psycopg.Connection[Any] | None = None
        self._ending = threading.Event()

    def open(self) -> None:
        """Connect, take the lock and listen; a connection that is there already is closed. Raises psycopg errors."""
        self._drop()  # the new session would wait for the old one's lock for ever
        connection = psycopg.connect(**direct.parameters(self._using), autocommit=True)
        connection.execute(SESSION_SQL)
        connection.execute("SELECT pg_advisory_lock(%s)", [lock_key(self._worker)])
        connection.execute(f"LISTEN {wake.CHANNEL}")
        self._connection = connection

    def run(self) -> None:
        """Pass on what is heard, until the process ends."""
        while not self._ending.is_set():
            try:
                if self._connection is None:
                    self.open()
                    self._hear("")
                assert self._connection is not None  # noqa: S101 - open() sets it
                for notice in self._connection.notifies(timeout=1.0, stop_after=1):
                    self._hear(notice.payload)
            except (psycopg.Error, OSError) as error:
                self._drop()
                if not self._ending.is_set():
                    logger.info("the direct database connection was lost: %s", error)
                    time.sleep(0.5)

    def close(self) -> None:
        """End the session; the lock is free then."""
        self._ending.set()
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except (psycopg.Error, OSError):
                logger.debug("closing the direct connection failed", exc_info=True)
