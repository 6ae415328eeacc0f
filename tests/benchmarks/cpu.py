"""CPU time that groups of processes take while something is done: it says more than a clock on a busy machine."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

import psutil
from django.db import connection


class Spent:
    """Seconds of CPU, user and system, that each group takes while the block runs, and this process by itself.

    A group is a process and its descendants, those that ended meanwhile too.
    """

    def __init__(self, groups: Mapping[str, int]) -> None:
        self._groups = {name: psutil.Process(pid) for name, pid in groups.items()}
        self._before: dict[str, float] = {}
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> Spent:
        self._before = self._now()
        return self

    def __exit__(self, *_error: object) -> None:
        self.seconds = {name: now - self._before[name] for name, now in self._now().items()}

    def said(self, pieces: int) -> str:
        """Say how many milliseconds that is for each of so many pieces of work."""
        each = {name: 1000 * seconds / max(1, pieces) for name, seconds in self.seconds.items()}
        told = ", ".join(f"{name} {taken:.2f}" for name, taken in each.items())
        return f"{told}, together {sum(each.values()):.2f} ms"

    def _now(self) -> dict[str, float]:
        taken = {name: sum(map(_taken, [one, *one.children(recursive=True)])) for name, one in self._groups.items()}
        mine = os.times()
        return {**taken, "clients": mine.user + mine.system}


def postmaster() -> dict[str, int]:
    """Return the first process of the server as a group, none where it is not to be seen from here."""
    with contextlib.suppress(psutil.Error), connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = psutil.Process(cursor.fetchone()[0])
        parent = session.parent()
        if parent is not None and session.name().startswith("postgres"):
            return {"PostgreSQL": parent.pid}
    return {}


def _taken(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        spent = process.cpu_times()
        return float(spent.user + spent.system + spent.children_user + spent.children_system)
    return 0.0
