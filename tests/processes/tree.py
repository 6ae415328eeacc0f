"""Start `runworker` as a user does and look at its processes from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("idle_worker.py")
SHORTEST_PAUSE, LONGEST_PAUSE = 0.005, 0.05


def eventually(seconds: float, condition: Callable[[], object], what: str) -> float:
    """Wait until the condition holds and return how long it took; fail the test after `seconds`.

    Looks often at first, and then leaves the machine to those it waits for.
    """
    start, pause = time.monotonic(), SHORTEST_PAUSE
    while not condition():
        if time.monotonic() - start > seconds:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(pause)
        pause = min(pause * 1.25, LONGEST_PAUSE)
    return time.monotonic() - start


class Tree:
    """`runworker` in a process group of its own, with drains that do nothing."""

    def __init__(self, directory: Path, *options: str, manner: str = "waits") -> None:
        self.directory = directory
        self.log = directory / "log"
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "roost_project.settings",
            "PYTHONPATH": str(ROOT),
            "ROOST_SECRET_KEY": "only-for-this-test",
            # Whoever touched a database would fail: the cluster itself needs none.
            "ROOST_DATABASE_URL": f"sqlite:///{directory}/no/such/directory/db.sqlite3",
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(SCRIPT), manner, str(directory), "runworker", *options],
                env=environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.first = psutil.Process(self.process.pid)
        self.seen: dict[int, psutil.Process] = {}

    def everyone(self) -> list[psutil.Process]:
        """Return every process of the tree seen so far that is still alive, the first one included."""
        with suppress(psutil.NoSuchProcess):
            for process in (self.first, *self.first.children(recursive=True)):
                self.seen.setdefault(process.pid, process)
        return [process for process in self.seen.values() if _alive(process.pid)]

    def sentinel(self) -> psutil.Process:
        """Return django-q2's sentinel, once it exists."""
        # Imports may start short-lived children before.
        eventually(15, lambda: "Started" in self.log.read_text(), f"a sentinel: {self.log.read_text()}")
        return self.first.children()[0]

    def drains(self) -> set[int]:
        """Return the process ids that are inside a drain."""
        started = {int(path.stem) for path in self.directory.glob("*.started")}
        return {pid for pid in started - self.ended() if _alive(pid)}

    def children_of_sentinel(self) -> list[int]:
        """Return the process ids of the sentinel's children that are alive, oldest first."""
        return sorted(child.pid for child in self.sentinel().children() if _alive(child.pid))

    def ended(self) -> set[int]:
        """Return the process ids whose drains ended of themselves."""
        return {int(path.stem) for path in self.directory.glob("*.ended")}

    def until_draining(self, count: int, seconds: float = 15) -> float:
        """Wait until exactly `count` processes drain; return how long it took."""
        took = eventually(seconds, lambda: len(self.drains()) == count, f"{count} drains: {self.log.read_text()}")
        self.everyone()
        return took

    def exit_code(self, seconds: float = 10) -> int:
        """Wait for the first process to end."""
        return self.process.wait(timeout=seconds)

    def until_gone(self, seconds: float = 2) -> float:
        """Wait until no process of the tree is alive; return how long it took."""
        return eventually(seconds, lambda: not self.everyone(), f"still there: {self.everyone()}")

    def kill_everyone(self) -> None:
        """Leave nothing behind after a test."""
        for process in self.everyone():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(timeout=10)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
