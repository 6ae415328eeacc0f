"""Start real workers on the test's database, and look at what they do from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from django.conf import settings
from django.db import connection

from runtime.models import Lease, Worker, WorkItem
from tests.processes import nursery
from tests.processes.tree import ROOT, eventually

Command = subprocess.Popen[bytes] | nursery.Forked


def database_url() -> str:
    """Return the address of the database that this test is connected to."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    login = values["USER"] + (f":{quote(values['PASSWORD'])}" if values["PASSWORD"] else "")
    host = f":{values['PORT']}" if values["PORT"] else ""
    if str(values["HOST"]).startswith("/"):
        return f"postgresql://{login}@/{values['NAME']}?host={values['HOST']}"
    return f"postgresql://{login}@{values['HOST']}{host}/{values['NAME']}"


class Fleet:
    """`runworker` processes started by one test, or one measurement; `forked` ones come from the nursery."""

    def __init__(self, folder: Path, url: str = "", *, forked: bool = False, **roost_settings: float) -> None:
        self.folder = folder
        self.forked = forked
        self.log = folder / "workers.log"
        self.commands: list[Command] = []
        self.environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.processes.settings",
            "PYTHONPATH": str(ROOT),
            "ROOST_PROCESS_DATABASE_URL": url or database_url(),
            "ROOST_PROCESS_ARTIFACTS": str(settings.STORAGES["roost_artifacts"]["OPTIONS"]["location"]),
            **{f"ROOST_PROCESS_SET_{name}": str(value) for name, value in roost_settings.items()},
        }

    def launch(self, *arguments: str, **environment: str) -> Command:
        """Start `manage.py` with these arguments, and with these variables besides those of the fleet."""
        command: Command
        variables = {**self.environment, **environment}
        if self.forked:
            self.log.touch()
            command = nursery.start(nursery.manage, *arguments, environment=variables, log=self.log)
        else:
            with self.log.open("ab") as log:
                command = subprocess.Popen(
                    [sys.executable, "manage.py", *arguments],
                    cwd=ROOT,
                    env=variables,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        self.commands.append(command)
        return command

    def start(self, *options: str) -> Command:
        """Start one `runworker` and wait until its workers are registered."""
        # Those that are there may be found dead, and be taken off, while this one begins.
        known = list(Worker.objects.values_list("pk", flat=True))
        processes = int(options[options.index("--processes") + 1]) if "--processes" in options else 1
        command = self.launch("runworker", *options)
        eventually(
            20,
            lambda: Worker.objects.exclude(pk__in=known).exclude(state="offline").count() >= processes,
            f"workers: {self.log.read_text()}",
        )
        return command

    def stop(self, seconds: float = 15) -> None:
        """End everything that was started, gracefully if it lets us."""
        everyone = [process for command in self.commands for process in _family(command.pid)]
        for command in self.commands:
            if command.poll() is None:
                command.send_signal(signal.SIGTERM)
        for command in self.commands:
            try:
                command.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                command.kill()
                command.wait()
        for process in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def wait(self, seconds: float, condition: Callable[[], object], what: str) -> float:
        """Wait for a condition and say what the workers said when it does not come."""
        try:
            return eventually(seconds, condition, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-6000:]}") from None


def _family(pid: int) -> list[psutil.Process]:
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def holder(item: uuid.UUID) -> Worker | None:
    """Return the worker that holds the item now."""
    lease = Lease.objects.filter(work_item=item, revoked_at=None).select_related("worker").first()
    return lease.worker if lease is not None else None


def held_by(item: uuid.UUID) -> Worker:
    """Wait until a worker holds the item, and return that."""
    found: list[Worker] = []

    def look() -> bool:
        worker = holder(item)
        if worker is not None:
            found.append(worker)
        return worker is not None

    eventually(20, look, f"a holder of {item}")
    return found[-1]


def kill_holder(item: uuid.UUID, how: signal.Signals = signal.SIGKILL) -> Worker:
    """Signal the process that holds the item; wait until there is one."""
    worker = held_by(item)
    os.kill(worker.pid, how)
    return worker


def states(**filters: Any) -> dict[str, int]:
    """Count items by state."""
    counts: dict[str, int] = {}
    for state in WorkItem.objects.filter(**filters).values_list("state", flat=True):
        counts[state] = counts.get(state, 0) + 1
    return counts


def all_in(state: str, **filters: Any) -> Callable[[], bool]:
    """Return a condition: every item is in that state."""
    return lambda: set(states(**filters)) == {state}


def pause(seconds: float) -> None:
    """Let a load run for a bounded time; not for synchronisation."""
    time.sleep(seconds)
