"""Run `manage.py roost demo` as a stranger does, and keep an eye on every process that it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from tests.processes.tree import ROOT, eventually


class Demo:
    """One run of `manage.py roost demo`, with every process that it starts."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.log = folder / "demo.log"
        product = {"DJANGO_SETTINGS_MODULE": "roost_project.settings", "ROOST_DEMO_FOLDER": str(folder / "demo")}
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "roost", "demo", *options],
                cwd=ROOT,
                env={**os.environ, **(product if environment is None else environment)},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.first = psutil.Process(self.process.pid)
        self.seen: dict[int, psutil.Process] = {}

    @property
    def said(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    def look(self) -> None:
        """Note every process of its tree."""
        with suppress(psutil.NoSuchProcess):
            for process in (self.first, *self.first.children(recursive=True)):
                self.seen.setdefault(process.pid, process)

    def until(self, text: str, seconds: float = 40) -> None:
        """Wait until it has printed this."""

        def printed() -> bool:
            self.look()
            return text in self.said

        eventually(seconds, printed, f"{text!r} in {self.said}")
        self.look()

    def end(self, seconds: float = 60) -> int:
        """Wait for its end and return the exit code."""

        def ended() -> bool:
            self.look()
            return self.process.poll() is not None

        eventually(seconds, ended, f"the end of the demo: {self.said}")
        return self.process.returncode

    def left(self) -> list[psutil.Process]:
        """Return the processes that are still alive."""
        return [process for process in self.seen.values() if _alive(process)]


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
