"""A worker's row comes and goes, and names the database sessions of its threads, whoever keeps the row locked."""

from __future__ import annotations

import os
import threading
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from runtime import clock
from runtime.models import Worker
from runtime.store import get_store
from runtime.worker import liveness
from runtime.worker import registration as registering
from runtime.worker.options import WorkerOptions
from runtime.worker.registration import Registration
from tests.contracts.builders import Together
from tests.runtime.worker.locking import locked_elsewhere

postgres_only = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no sessions to note")

THREADS = 3


class Guard:
    """A lock that counts who comes for it."""

    def __init__(self) -> None:
        self.come = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.come.release()
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("F12")
@postgres_only
def test_one_thread_waits_for_a_locked_row_to_note_the_sessions_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    registration = Registration(WorkerOptions.defaults(using="default"), ["counter"], get_store().using)
    registration.enter()
    guard, attempts = Guard(), []

    def locked(**values: Any) -> None:
        if not attempts:
            assert all(guard.come.acquire(timeout=10) for _ in range(THREADS)), "somebody does not come"
        attempts.append(values)
        raise OperationalError from psycopg.errors.LockNotAvailable()

    def begin() -> None:
        monkeypatch.setattr(registration, "_guard", guard)
        monkeypatch.setattr(registration, "_write", locked)
        monkeypatch.setattr(registration, "_note_at", 0.0)

    known = threading.Barrier(THREADS, begin, timeout=10)

    def steps() -> None:
        registration.add_session()
        known.wait()
        registration.add_session()

    Together([steps] * THREADS).results()
    assert len(attempts) == 1


@pytest.mark.django_db
def test_a_registration_comes_and_goes() -> None:
    registration = Registration(WorkerOptions.defaults(using="default"), ["counter"], get_store().using)
    registration.enter()
    worker = Worker.objects.get(pk=registration.id)
    assert (worker.state, worker.pid, worker.engines) == ("online", os.getpid(), ["counter"])
    assert liveness.exists(worker) in (True, None)
    assert worker.heartbeat_at <= clock.now("default")
    registration.draining()
    registration.leave()
    worker.refresh_from_db()
    assert worker.state == "offline"
    assert worker.stopped_at is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("word", ["draining", "leave"])
@postgres_only
def test_a_worker_whose_row_somebody_keeps_locked_does_not_wait_for_it_at_its_end(word: str) -> None:
    registration = Registration(WorkerOptions.defaults(using="default"), ["counter"], get_store().using)
    registration.enter()

    def say() -> None:
        with pytest.raises(OperationalError, match="lock timeout"):
            getattr(registration, word)()

    with locked_elsewhere(registration.id):
        Together([say]).results()


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("L43")
@postgres_only
def test_a_session_is_noted_once_nobody_keeps_the_workers_row_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registering, "AGAIN_SECONDS", 0.0)
    registration = Registration(WorkerOptions.defaults(using="default"), ["counter"], get_store().using)
    registration.enter()
    row = Worker.objects.filter(pk=registration.id)
    freed, tried = threading.Event(), threading.Event()

    def steps() -> int:
        registration.add_session()
        tried.set()
        assert freed.wait(10)
        registration.add_session()
        registration.add_session()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return int(cursor.fetchone()[0])

    with locked_elsewhere(registration.id):
        thread = Together([steps])
        assert tried.wait(10)
        assert row.get().backend_pids == []
    freed.set()
    noted = thread.results()
    assert [pid for pid, _ in row.get().backend_pids] == noted
