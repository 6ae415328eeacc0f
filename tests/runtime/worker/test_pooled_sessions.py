"""A session behind a pooler serves others too: none is noted as a worker's, and none is ended for one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime.models import Lease, Worker
from runtime.store import direct
from runtime.worker import takeover
from runtime.worker.options import WorkerOptions
from runtime.worker.registration import Registration
from tests.factories import LeaseFactory, now
from tests.processes.fleet import database_url
from tests.programs import program
from tests.soak.pooler import PROGRAM, Pooler

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.scenario("L43"),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has no sessions to end"),
]


def registered(using: str = "default") -> Registration:
    """Return a worker that has noted the session of this thread, as a thread of atomic steps does."""
    registration = Registration(WorkerOptions.defaults(using=using), ["counter"], using)
    registration.enter()
    registration.add_session()
    return registration


def ended(registration: Registration) -> int:
    """Take over from the worker, whose lease has run out since its last beat; return how many sessions were ended."""
    Worker.objects.filter(pk=registration.id).update(heartbeat_at=now(-3600))
    worker = Worker.objects.get(pk=registration.id)
    Lease.objects.filter(pk=LeaseFactory(worker=worker).pk).update(expires_at=worker.started_at)
    return takeover.end_sessions("default", [])


def noted(registration: Registration) -> list[Any]:
    """Return the sessions that a takeover would end."""
    return list(Worker.objects.get(pk=registration.id).backend_pids)


def test_a_session_that_is_the_workers_own_is_noted() -> None:
    assert [pid for pid, _started in noted(registered())] == [direct.told_pid(connection)]


def test_a_session_whose_process_is_not_the_one_that_the_client_was_told_is_not_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(direct, "told_pid", lambda _connection: 1)
    registration = registered()
    assert noted(registration) == []
    assert ended(registration) == 0


@pytest.mark.parametrize("how", ["another alias is the direct one", "no cursors on the server"])
def test_a_session_that_the_settings_say_is_pooled_is_not_noted(
    monkeypatch: pytest.MonkeyPatch, settings: Any, how: str
) -> None:
    """Some poolers hand on the process ids of the sessions that they keep."""
    if how == "no cursors on the server":
        monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    else:
        settings.ROOST_DIRECT_DATABASE = "direct"
    assert noted(registered()) == []
    settings.ROOST_DIRECT_DATABASE = "default"
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", False)
    assert len(noted(registered())) == 1


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pooler]:
    """Give the alias "pooled" a pooler of one session, with nothing in the settings that says so."""
    program(PROGRAM)
    with Pooler(database_url(), sessions=1) as pooler:
        place = {"HOST": str(pooler.folder), "PORT": "6432"}
        connections.settings["pooled"] = {**connections.settings["default"], **place}
        monkeypatch.setattr(connections["pooled"], "ensure_connection", partial(connect, connections["pooled"]))
        yield pooler
        connections["pooled"].close()
        del connections["pooled"], connections.settings["pooled"]


def connect(wrapper: BaseDatabaseWrapper) -> None:
    """Connect without asking, as Django's tests do, whether the alias was there when the test began."""
    if wrapper.connection is None:
        wrapper.connect()


def test_a_stranger_who_has_the_session_after_a_worker_is_left_alone(pooled: Pooler) -> None:
    registration = registered("pooled")
    with psycopg.connect(pooled.url) as stranger:
        stranger.execute("SELECT 1")
        assert ended(registration) == 0
        assert stranger.execute("SHOW client_connection_check_interval").fetchone() == ("0",)
