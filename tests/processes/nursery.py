"""Fork processes from one that has Django and Roost loaded: each is there in a tenth of the time that loading takes.

Such a process is as real as one that a shell starts, and dies like it: it has a session, a log, an environment, signal
handlers and connections of its own, and its parent, the nursery, has none of these to share. What the suite's settings
read from the environment is read again in it. Who tests the start itself starts an interpreter.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
LOADED = "tests.processes.loaded"
SETTINGS = ("roost_project.settings", "tests.settings", "tests.processes.settings")
"""The modules that settings are read from, those that others build upon first."""


class Forked:
    """A process from the nursery, with what tests use of `subprocess.Popen`."""

    def __init__(self, process: BaseProcess) -> None:
        assert process.pid is not None
        self.process = process
        self.pid: int = process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        return self.process.exitcode

    def poll(self) -> int | None:
        """Return the exit code if it has ended."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code. Raises `subprocess.TimeoutExpired`."""
        self.process.join(timeout)
        code = self.returncode
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def start(target: Callable[..., None], *arguments: Any, environment: dict[str, str], log: Path | None = None) -> Forked:
    """Call a module's function in a new process, with this environment; what it prints goes to the log's end."""
    _open(environment["ROOST_PROCESS_DATABASE_URL"])
    process = CONTEXT.Process(target=_live, args=(target, arguments, environment, log))
    process.start()
    return Forked(process)


def manage(*arguments: str) -> None:
    """Be `manage.py` with these arguments."""
    from django.core.management import execute_from_command_line

    from runtime import faults

    sys.argv = ["manage.py", *arguments]
    # The variable was read when the module was loaded, in the nursery.
    fault = os.environ.get(faults.VARIABLE)
    with faults.planned(faults.Plan.parse(fault)) if fault else nullcontext():
        execute_from_command_line(sys.argv)


@functools.cache
def _open(database: str) -> None:
    """Start the nursery, which ends with this process and its own children; there is one, on one database."""
    assert _open.cache_info().currsize == 0, f"the nursery is on another database than {database}"
    before = dict(os.environ)
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": SETTINGS[-1],
        "ROOST_PROCESS_DATABASE_URL": database,
        "ROOST_PROCESS_ARTIFACTS": os.devnull,
    }
    try:
        CONTEXT.set_forkserver_preload([LOADED])
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _live(
    target: Callable[..., None], arguments: tuple[Any, ...], environment: dict[str, str], log: Path | None
) -> None:
    """Be a process of its own."""
    os.setsid()
    if log is not None:
        with log.open("ab") as out:
            for stream in (sys.stdout, sys.stderr):
                os.dup2(out.fileno(), stream.fileno())
    os.environ.clear()
    os.environ.update(environment)
    from django.test import override_settings

    with override_settings(**_settings_of_this_environment()):
        target(*arguments)


def _settings_of_this_environment() -> dict[str, Any]:
    """Return the settings that are not what they were when the nursery was opened; the database is the same."""
    from django.conf import settings

    for name in SETTINGS:
        module = importlib.reload(sys.modules[name])
    found = {name: getattr(module, name) for name in dir(module) if name.isupper() and name != "DATABASES"}
    missing = object()
    return {name: value for name, value in found.items() if value != getattr(settings, name, missing)}
