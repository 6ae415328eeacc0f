"""Tell who a worker process is, and whether another one still exists.

A pid alone proves nothing: it is reused, and means something else in another PID namespace. Host boot id, PID
namespace, pid and the process's start time together name a process for certain on Linux; elsewhere nothing is ever
called dead for sure, and leases expire by time alone. Nor is a process whose entry in /proc is hidden from this user,
as `hidepid` and systemd's `ProtectProc` do.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from runtime.models import Worker

PROC = Path("/proc")


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """Where a process is, as far as this system can tell; empty text where it cannot."""

    host: str
    boot_id: str
    pid_namespace: str
    pid: int
    process_started: str


def own_identity() -> Identity:
    """Return the identity of this process."""
    pid = os.getpid()
    return Identity(
        host=socket.gethostname(),
        boot_id=_boot_id(),
        pid_namespace=_pid_namespace(),
        pid=pid,
        process_started=start_time(pid) or "",
    )


@lru_cache(maxsize=1)
def _boot_id() -> str:
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str((PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def start_time(pid: int) -> str | None:
    """Return the start time (clock ticks since boot) of a process that is alive, None when there is none.

    A zombie, dead but not yet reaped by its parent, is no longer alive.
    """
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def exists(worker: Worker) -> bool | None:
    """Say whether the worker's process exists.

    None when this process cannot tell: on another host, in another namespace, or hidden from this user.
    """
    if not (worker.boot_id and worker.pid_namespace and worker.process_started):
        return None
    if worker.boot_id != _boot_id() or worker.pid_namespace != _pid_namespace():
        return None
    started = start_time(worker.pid)
    if started is None and _is_hidden(worker.pid):
        return None
    return started == worker.process_started


def _is_hidden(pid: int) -> bool:
    """Say whether there is a process with that pid of which this one is shown nothing."""
    try:
        (PROC / str(pid) / "stat").read_text()
    except OSError:
        try:
            os.kill(pid, 0)
        except OSError as error:
            return not isinstance(error, ProcessLookupError)
        return True
    return False
