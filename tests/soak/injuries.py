"""Carry the faults out, and keep note of whom they met and what these held."""

from __future__ import annotations

import datetime as dt
import os
import signal
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from django.db import connection

from runtime.models import Lease, Worker
from tests.postgres import PrivatePostgres
from tests.processes.fleet import Fleet
from tests.soak.faults import CUT, KILL, RESTART, STOP, STORAGE, Fault
from tests.soak.storage import mark_of
from tests.soak.threads import AWAY, insist

SIGNALS = {"immediate": signal.SIGQUIT, "fast": signal.SIGINT}
NAME = "soak"
"""The name by which the server knows the sessions of the soak itself, which are left alone."""
SESSIONS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> %s ORDER BY pid
"""


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A process that was killed or stopped, and the items that it held just then."""

    at: dt.datetime
    worker: uuid.UUID
    held: frozenset[uuid.UUID]


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A time without the database, and who worked on what before it."""

    began: dt.datetime
    ended: dt.datetime
    how: str
    held: dict[uuid.UUID, uuid.UUID]


class Injuries:
    """Whom the faults met; `victims` are the workers that may be killed or stopped."""

    def __init__(self, server: PrivatePostgres, victims: Fleet, artifacts: Path) -> None:
        self.kills: list[Loss] = []
        self.stops: list[Loss] = []
        self.outages: list[Outage] = []
        self.cuts = 0
        self.failures = 0
        self.missed = 0
        self._storage_fails = mark_of(artifacts)
        self._server = server
        self._victims = victims
        self._roster: dict[int, uuid.UUID] = {}
        self._standing: dict[int, psutil.Process] = {}
        self._carry_out = {
            KILL: self._kill,
            RESTART: self._restart,
            STOP: self._stop,
            CUT: self._cut,
            STORAGE: self._let_the_storage_fail,
        }

    def carry_out(self, fault: Fault) -> None:
        """Let a fault happen now."""
        self._carry_out[fault.kind](fault)

    def heal(self) -> None:
        """Let everybody go on who stands still, and the storage work."""
        self._storage_fails.unlink(missing_ok=True)
        for pid in list(self._standing):
            self._go_on(pid)

    def _kill(self, fault: Fault) -> None:
        found = self._victim(fault)
        if found is None:
            return
        pid, worker = found
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills.append(Loss(at=_now(), worker=worker, held=_held(worker)))

    def _stop(self, fault: Fault) -> None:
        found = self._victim(fault)
        if found is None:
            return
        pid, worker = found
        with suppress(psutil.NoSuchProcess):
            process = self._standing[pid] = psutil.Process(pid)
            process.suspend()
            self.stops.append(Loss(at=_now(), worker=worker, held=_held(worker)))
            timer = threading.Timer(fault.seconds, self._go_on, [pid])
            timer.daemon = True
            timer.start()

    def _go_on(self, pid: int) -> None:
        process = self._standing.pop(pid, None)
        with suppress(psutil.NoSuchProcess):
            if process is not None:
                process.resume()

    def _cut(self, fault: Fault) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(SESSIONS, [NAME])
                sessions = [pid for (pid,) in cursor.fetchall()]
                if sessions:
                    cursor.execute("SELECT pg_terminate_backend(%s)", [_choose(sessions, fault.choice)])
                    self.cuts += 1
        except AWAY:
            connection.close()
            self.missed += 1

    def _let_the_storage_fail(self, fault: Fault) -> None:
        self._storage_fails.write_text(fault.how)
        self.failures += 1
        timer = threading.Timer(fault.seconds, self._storage_fails.unlink, kwargs={"missing_ok": True})
        timer.daemon = True
        timer.start()

    def _restart(self, fault: Fault) -> None:
        self._look()
        still = {self._roster[pid] for pid in self._standing if pid in self._roster}
        held = insist(lambda: dict(Lease.objects.filter(revoked_at=None).values_list("work_item", "worker")), 30)
        held = {item: worker for item, worker in held.items() if worker not in still}
        connection.close()
        began = _now()
        self._server.stop(SIGNALS[fault.how])
        time.sleep(fault.seconds)
        self._server.start()
        self.outages.append(Outage(began=began, ended=_now(), how=fault.how, held=held))

    def _victim(self, fault: Fault) -> tuple[int, uuid.UUID] | None:
        """Choose one of the workers that are alive and go; None (and one missed) when there is nobody."""
        self._look()
        alive = {process.pid for command in self._victims.commands for process in _descendants(command.pid)}
        pids = sorted(pid for pid in self._roster if pid in alive and pid not in self._standing)
        if not pids:
            self.missed += 1
            return None
        pid = _choose(pids, fault.choice)
        return pid, self._roster[pid]

    def _look(self) -> None:
        """Read who works; while the database is away, what was read last has to do."""
        try:
            rows = Worker.objects.exclude(state="offline").order_by("started_at").values_list("pid", "pk")
            self._roster = dict(rows)
        except AWAY:
            connection.close()


def _held(worker: uuid.UUID) -> frozenset[uuid.UUID]:
    try:
        return frozenset(Lease.objects.filter(worker=worker, revoked_at=None).values_list("work_item", flat=True))
    except AWAY:
        connection.close()
        return frozenset()


def _descendants(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def _choose(pids: list[int], choice: float) -> int:
    return pids[int(choice * len(pids))]


def _now() -> dt.datetime:
    """Return this machine's time, which is the server's too."""
    return dt.datetime.now(dt.UTC)
