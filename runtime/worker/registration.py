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
from typing import Any

import psycopg
from django.db import connections

from runtime import clock, faults, wake
from runtime.choices import WorkerState
from runtime.models import Worker
from runtime.models.workitem import new_id
from runtime.store import direct
from runtime.worker.liveness import own_identity
from runtime.worker.options import WorkerOptions

logger = logging.getLogger("roost.worker")

SESSION_SQL = "SET client_connection_check_interval = '1s'"
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
        self._sessions: dict[int, tuple[Any, list[Any]]] = {}
        self._guard = threading.Lock()

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
            capacity=self._options.concurrency,
            started_at=now,
            heartbeat_at=now,
        )
        with faults.around("worker"):
            Worker.objects.using(self._using).bulk_create([row], ignore_conflicts=True)

    def leave(self) -> None:
        """Mark the worker as gone."""
        self._write(state=WorkerState.OFFLINE, stopped_at=clock.now(self._using))

    def draining(self) -> None:
        """Mark the worker as finishing what it has."""
        self._write(state=WorkerState.DRAINING)

    def _write(self, **values: Any) -> None:
        with faults.around("worker"):
            Worker.objects.using(self._using).filter(pk=self.id).update(**values)

    def add_session(self) -> None:
        """Prepare this thread's database session and note it, so that whoever takes over can end it.

        Does nothing for a session that it knows; a new one of the same thread takes the old one's place.
        """
        connection = connections[self._using]
        if connection.vendor != "postgresql":
            return
        connection.ensure_connection()
        thread = threading.get_ident()
        if thread in self._sessions and self._sessions[thread][0] is connection.connection:
            return
        with connection.cursor() as cursor:
            cursor.execute(SESSION_SQL)
            cursor.execute(BACKEND_SQL)
            found = cursor.fetchone()
        with self._guard:
            self._sessions[thread] = (connection.connection, list(found))
            backends = [backend for _, backend in self._sessions.values()]
            self._write(backend_pids=backends)


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
