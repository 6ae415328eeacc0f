"""Who is dead for certain, and who only looks so."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from runtime.models import Worker
from runtime.store import get_store
from runtime.store.values import Held
from runtime.testing import advance
from runtime.worker import liveness, takeover
from runtime.worker.options import WorkerOptions
from runtime.worker.registration import Link, Registration, lock_key
from tests.contracts.builders import Together
from tests.factories import LeaseFactory, WorkerFactory, now
from tests.runtime.worker.locking import locked_elsewhere

postgres_only = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has advisory locks")


def registered_as(identity: liveness.Identity, **values: Any) -> Worker:
    worker: Worker = WorkerFactory(**dataclasses.asdict(identity), **values)
    return worker


def dead() -> list[uuid.UUID]:
    return takeover.find_dead(get_store().using, uuid.uuid4())


@pytest.fixture
def me() -> liveness.Identity:
    found = liveness.own_identity()
    if not found.process_started:
        pytest.skip("this system does not say when a process started")
    return found


@pytest.mark.django_db
def test_a_living_process_of_this_machine_is_alive_however_old_its_heartbeat(me: liveness.Identity) -> None:
    worker = registered_as(me, heartbeat_at=now(-3600), lock_key=7)
    assert liveness.exists(worker) is True
    assert dead() == []


@pytest.mark.django_db
@pytest.mark.scenario("L41", "B17")
def test_only_on_sqlite_and_only_whom_one_sees_is_held_to_be_living(me: liveness.Identity) -> None:
    seen = registered_as(me)
    registered_as(me, state="offline")
    registered_as(dataclasses.replace(me, boot_id="another boot"))
    registered_as(dataclasses.replace(me, process_started="1"))
    assert takeover.find_living("default") == ([] if connection.vendor == "postgresql" else [seen.pk])


@pytest.mark.django_db
def test_a_process_that_was_killed_is_dead_at_once_and_also_as_a_zombie(me: liveness.Identity) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = liveness.start_time(child.pid)
    worker = registered_as(dataclasses.replace(me, pid=child.pid, process_started=str(started)))
    assert dead() == []
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert liveness.exists(worker) is False
    assert dead() == [worker.pk]
    child.wait()
    assert dead() == [worker.pk]


@pytest.mark.django_db
def test_a_process_that_is_hidden_from_this_user_is_not_called_dead(
    me: liveness.Identity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    boot = tmp_path / "sys/kernel/random/boot_id"
    boot.parent.mkdir(parents=True)
    boot.write_text(me.boot_id)
    (tmp_path / "self/ns").mkdir(parents=True)
    (tmp_path / "self/ns/pid").symlink_to(me.pid_namespace)
    worker = registered_as(me)
    monkeypatch.setattr(liveness, "PROC", tmp_path)
    assert liveness.exists(worker) is None
    assert dead() == []
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert liveness.exists(registered_as(dataclasses.replace(me, pid=gone.pid))) is False


@pytest.mark.django_db
@pytest.mark.scenario("B7")
def test_a_reused_pid_or_host_name_hides_no_dead_worker(me: liveness.Identity) -> None:
    reused = registered_as(dataclasses.replace(me, process_started="1"))
    assert liveness.exists(reused) is False
    assert dead() == [reused.pk]


@pytest.mark.django_db
@pytest.mark.scenario("L41", "B7")
@pytest.mark.parametrize("change", [{"pid_namespace": "pid:[4026500000]"}, {"boot_id": "another boot"}])
def test_a_process_of_another_pid_namespace_or_boot_is_never_judged_by_its_pid(
    me: liveness.Identity, change: dict[str, str]
) -> None:
    worker = registered_as(dataclasses.replace(me, pid=2**22 - 1, **change), heartbeat_at=now(-3600))
    assert liveness.exists(worker) is None
    assert dead() == []


@pytest.mark.django_db
@pytest.mark.scenario("L41")
@postgres_only
def test_two_containers_on_one_host_that_hold_their_locks_never_take_each_others_work(me: liveness.Identity) -> None:
    there = dataclasses.replace(me, pid_namespace="pid:[4026500000]", pid=1)
    worker = registered_as(there, heartbeat_at=now(-3600))
    Worker.objects.filter(pk=worker.pk).update(lock_key=lock_key(worker.pk))
    link = Link(worker.pk, get_store().using, lambda payload: None)
    link.open()
    try:
        assert dead() == []
    finally:
        link.close()


@contextmanager
def standing(me: liveness.Identity, **values: Any) -> Iterator[Worker]:
    """Let a worker of this machine live, and hold its lock, while the block runs."""
    worker = registered_as(me, **values)
    Worker.objects.filter(pk=worker.pk).update(lock_key=lock_key(worker.pk))
    link = Link(worker.pk, get_store().using, lambda payload: None)
    link.open()
    try:
        yield worker
    finally:
        link.close()


def up(monkeypatch: pytest.MonkeyPatch, *, server: str = "1h", session: str = "1h") -> None:
    """Have the server, and the sessions of the living, been up for so long."""
    sql = takeover.FREE_LOCK_SQL.replace("pg_postmaster_start_time()", f"(statement_timestamp() - interval '{server}')")
    sql = sql.replace("session.backend_start", f"(statement_timestamp() - interval '{session}')")
    monkeypatch.setattr(takeover, "FREE_LOCK_SQL", sql)


@pytest.mark.django_db
@postgres_only
def test_a_worker_of_a_lost_host_is_dead_when_its_lock_is_free_and_two_beats_are_missing(
    me: liveness.Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(monkeypatch)
    worker = registered_as(dataclasses.replace(me, boot_id="another boot"), heartbeat_at=now(-3), lock_key=8)
    monkeypatch.setattr("runtime.conf.Settings.HEARTBEAT_SECONDS", 2.0)
    with standing(me):
        assert dead() == []
        Worker.objects.filter(pk=worker.pk).update(heartbeat_at=now(-5))
        assert dead() == [worker.pk]


@pytest.mark.django_db
@pytest.mark.scenario("L42")
@pytest.mark.parametrize("there", ["5s", "an ended worker", "nobody"])
@postgres_only
def test_the_first_to_come_to_a_promoted_standby_calls_nobody_dead(
    there: str, me: liveness.Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(monkeypatch, session=there if there == "5s" else "1h")
    registered_as(dataclasses.replace(me, boot_id="another boot"), heartbeat_at=now(-60), lock_key=9)
    with nullcontext() if there == "nobody" else standing(me, state="online" if there == "5s" else "offline"):
        assert dead() == []


@pytest.mark.django_db
@pytest.mark.scenario("L42")
@postgres_only
def test_after_a_restart_of_the_database_the_living_have_time_to_come_back(
    me: liveness.Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered_as(dataclasses.replace(me, boot_id="another boot"), heartbeat_at=now(-60), lock_key=9)
    up(monkeypatch, server="5s")
    with standing(me):
        assert dead() == []


@pytest.mark.django_db
@pytest.mark.scenario("L42")
@postgres_only
def test_a_database_is_settled_once_it_has_been_up_for_three_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.conf.Settings.HEARTBEAT_SECONDS", 2.0)
    for uptime, settled in ((5, False), (7, True)):
        started = f"(statement_timestamp() - interval '{uptime}s')"
        sql = "SELECT pg_postmaster_start_time() < statement_timestamp() - make_interval(secs => %s)"
        monkeypatch.setattr(takeover, "SETTLED_SQL", sql.replace("pg_postmaster_start_time()", started))
        assert takeover.is_settled("default") is settled


@pytest.mark.django_db
def test_a_worker_that_said_goodbye_is_not_looked_at(me: liveness.Identity) -> None:
    registered_as(dataclasses.replace(me, process_started="1"), state="offline")
    assert dead() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("L43")
@postgres_only
def test_the_sessions_of_a_worker_whose_lease_expired_are_ended_and_no_others() -> None:
    options = WorkerOptions.defaults(using="default")
    registration = Registration(options, ["counter"], get_store().using)
    registration.enter()
    beside = connection.copy()
    with beside.cursor() as cursor:
        cursor.execute("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        session = list(cursor.fetchone())
    Worker.objects.filter(pk=registration.id).update(backend_pids=[session])
    lease = LeaseFactory(worker=Worker.objects.get(pk=registration.id))
    try:
        assert takeover.end_sessions("default", []) == 0
        type(lease).objects.filter(pk=lease.pk).update(expires_at=now(-1))
        Worker.objects.filter(pk=registration.id).update(backend_pids=[[session[0], "2001-01-01 00:00:00+00"]])
        assert takeover.end_sessions("default", []) == 0
        Worker.objects.filter(pk=registration.id).update(backend_pids=[session])
        assert takeover.end_sessions("default", []) == 0, "the worker has beaten since: its other steps are at work"
        type(lease).objects.filter(pk=lease.pk).update(revoked_at=now(-5))
        assert takeover.end_sessions("default", []) == 0
        Worker.objects.filter(pk=registration.id).update(heartbeat_at=now(-3600))
        assert takeover.end_sessions("default", []) == 1
    finally:
        beside.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("F12", "L43")
@postgres_only
def test_a_worker_that_beats_keeps_its_sessions_where_somebody_keeps_a_lease_of_it_locked() -> None:
    registration = Registration(WorkerOptions.defaults(using="default"), ["counter"], get_store().using)
    registration.enter()
    lease = LeaseFactory(worker=Worker.objects.get(pk=registration.id))
    held = Held(lease.pk, lease.epoch)
    beside = connection.copy()
    try:
        with beside.cursor() as cursor:
            cursor.execute("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()")
            Worker.objects.filter(pk=registration.id).update(backend_pids=[list(cursor.fetchone())])
        with locked_elsewhere(lease.pk, "roost_lease", "work_item_id"), advance(3600):
            assert Together([lambda: get_store().renew(registration.id, [held], {}).lost]).results() == [frozenset()]
            assert takeover.end_sessions("default", []) == 0, "its other steps are at work"
        with advance(7200):
            assert takeover.end_sessions("default", []) == 1
    finally:
        beside.close()


@pytest.mark.django_db
@postgres_only
def test_an_idle_worker_among_the_living_finds_it_quiet(me: liveness.Identity) -> None:
    here = registered_as(me)
    registered_as(dataclasses.replace(me, boot_id="another boot"), heartbeat_at=now(-1))
    assert takeover.is_quiet("default", here.pk)


@pytest.mark.django_db
@postgres_only
@pytest.mark.parametrize(
    ("change", "silence"),
    [({"process_started": "1"}, 0), ({"boot_id": "another boot"}, 60)],
    ids=["a process that is gone", "a silent worker elsewhere"],
)
def test_it_is_not_quiet_when_a_worker_may_be_dead(
    me: liveness.Identity, change: dict[str, str], silence: float
) -> None:
    here = registered_as(me)
    registered_as(dataclasses.replace(me, **change), heartbeat_at=now(-silence))
    assert not takeover.is_quiet("default", here.pk)


@pytest.mark.django_db
@postgres_only
def test_it_is_not_quiet_when_a_lease_expired(me: liveness.Identity) -> None:
    here = registered_as(me)
    lease = LeaseFactory(worker=here)
    assert takeover.is_quiet("default", here.pk)
    type(lease).objects.filter(pk=lease.pk).update(expires_at=now(-1))
    assert not takeover.is_quiet("default", here.pk)
