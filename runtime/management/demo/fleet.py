"""Start `runworker` as a user does, see its worker processes through the database, and kill them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from runtime.exceptions import RoostError
from runtime.models import Worker
from runtime.queries import workers

T = TypeVar("T")

START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.003


class DemoFailed(RoostError):
    """Something that the demo promises was not seen."""

    code = "demo_failed"


@contextlib.contextmanager
def cleaning_up_on_sigterm() -> Iterator[None]:
    """Let the first SIGTERM end the block as an exception, so that what it started is ended; ignore the rest.

    Signals reach the main thread only: elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)
    sys.exit(128 + number)


def command_line(*arguments: str) -> list[str]:
    """Return the command line of a management command in a new process."""
    return [sys.executable, "-m", "django", *arguments]


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with changes, so that a child imports what this process can."""
    path = os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, **changes}


class Fleet:
    """`runworker` with its worker processes, in a process group of its own. Use it as a context manager."""

    def __init__(self, *options: str, log: Path, using: str) -> None:
        self.log = log
        self.using = using
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command_line("runworker", "--database", using, *options),
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def workers(self) -> list[Worker]:
        """Return those of its worker processes that are registered and alive."""
        views = workers.views(using=self.using)
        return [view.worker for view in views if view.takes_work and self.owns(view.worker)]

    def owns(self, worker: Worker) -> bool:
        """Tell whether the worker's process is alive and was started by this fleet."""
        if worker.host != socket.gethostname():
            return False
        try:
            return os.getpgid(worker.pid) == self.process.pid
        except ProcessLookupError:
            return False

    def kill(self, worker: Worker) -> None:
        """Kill one of its own worker processes with SIGKILL."""
        if not self.owns(worker):
            raise DemoFailed(f"Worker {worker} is not a process of this demo: it is left alone.")
        os.kill(worker.pid, signal.SIGKILL)

    def until(self, condition: Callable[[], T | None], seconds: float, what: str) -> T:
        """Wait until the condition gives something and return that. Raises `DemoFailed` after so many seconds."""
        deadline = time.monotonic() + seconds
        while True:
            if found := condition():
                return found
            if self.process.poll() is not None:
                raise DemoFailed(f"runworker ended while the demo waited for {what}. Its log:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise DemoFailed(f"Not seen within {seconds:g} s: {what}. The log of runworker:\n{self.tail()}")
            time.sleep(LOOK_SECONDS)

    def until_ready(self, count: int) -> list[Worker]:
        """Wait until so many worker processes are alive and return them."""
        return self.until(lambda: self._ready(count), START_SECONDS, f"{count} live worker processes")

    def _ready(self, count: int) -> list[Worker] | None:
        found = self.workers()
        return found if len(found) >= count else None

    def tail(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def stop(self) -> None:
        """Stop gracefully; whatever is left of the process group after ten seconds is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
