"""A database of its own, a web server and a worker on it: what the browser's tests look at."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg

from roost_project.console import HOST, WEB_SERVER, free_port
from tests.processes.tree import ROOT, eventually
from tests.suite import VARIABLE

START_SECONDS = 60.0
STOP_SECONDS = 10.0
SETTINGS = "tests.browser.settings"
THEMED = "tests.browser.themed"


class Stack:
    """Everything that serves one run of the tests. `made` is what the database was filled with."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port(0)
        self.name = f"roost_browser_{os.getpid()}"
        self.server = os.environ.get(VARIABLE, "")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROOST_")}
        self.environment = {
            **kept,
            "DJANGO_SETTINGS_MODULE": SETTINGS,
            "PYTHONPATH": str(ROOT),
            "ROOST_DATABASE_URL": self._create(),
            "ROOST_ARTIFACTS_DIR": str(folder / "artifacts"),
            "ROOST_LOG_LEVEL": "WARNING",
            "ROOST_GRACE_SECONDS": "0.5",
        }
        command = [sys.executable, "-m", "tests.browser.seed", f"{self.address}/admin/login/", *options]
        told = subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.PIPE).stdout
        self.made: dict[str, str] = json.loads(told)

    @property
    def address(self) -> str:
        """Where the pages are."""
        return f"http://{HOST}:{self.port}"

    def serve(self, name: str = "web", *, port: int | None = None, settings: str = SETTINGS) -> None:
        """Start a web server and wait until it answers."""
        port = port or self.port
        self._start(name, *WEB_SERVER, "--host", HOST, "--port", str(port), settings=settings)
        eventually(START_SECONDS, lambda: self._answers(name, port), f"an answer of the server: {self.log(name)}")

    def work(self) -> None:
        """Start a worker."""
        self._start("worker", str(ROOT / "manage.py"), "runworker")

    def kill(self, name: str = "web") -> None:
        """End a process without a word."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def log(self, name: str) -> str:
        """Return the end of what a process said."""
        path = self.folder / f"{name}.log"
        return path.read_text()[-4000:] if path.exists() else ""

    def enqueue(self, engine: str, payload: dict[str, Any], **options: Any) -> str:
        """Enqueue over the API; return the item's id."""
        answer = self._api("POST", "/work-items", {"engine": engine, "payload": payload, **options})
        return str(answer["id"])

    def state(self, item: str) -> str:
        """Return the state of an item."""
        return str(self._api("GET", f"/work-items/{item}")["state"])

    def prioritise(self, item: str, priority: int) -> None:
        """Change an item over the API."""
        self._api("POST", f"/work-items/{item}/prioritise", {"priority": priority})

    def command(self, *arguments: str) -> None:
        """Run `manage.py roost`, which needs no server."""
        command = [sys.executable, str(ROOT / "manage.py"), "roost", *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def events(self, item: str) -> int:
        """Return how many events an item has by now."""
        return int(self._column("event_seq", item))

    def ended(self, item: str) -> bool:
        """Say whether an item is done."""
        return bool(self._column("state", item) == "done")

    def _column(self, column: str, item: str) -> Any:
        """Read from the database itself: the server may be away."""
        url = self.environment["ROOST_DATABASE_URL"]
        asked = f"SELECT {column} FROM roost_workitem WHERE id = "
        if self.server:
            with psycopg.connect(url) as session:
                row = session.execute(f"{asked}%s", [item]).fetchone()
        else:
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as found:
                row = found.execute(f"{asked}?", [uuid.UUID(item).hex]).fetchone()
        assert row is not None
        return row[0]

    def stop(self) -> None:
        """End every process, and remove the database."""
        for process in self.processes.values():
            process.terminate()
        for name, process in list(self.processes.items()):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill(name)
        if self.server:
            with psycopg.connect(self.server, autocommit=True) as session:
                session.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')

    def _create(self) -> str:
        if not self.server:
            return f"sqlite:///{self.folder / 'browser.sqlite3'}"
        with psycopg.connect(self.server, autocommit=True) as session:
            session.execute(f'CREATE DATABASE "{self.name}"')
        return urlsplit(self.server)._replace(path=f"/{self.name}").geturl()

    def _start(self, name: str, *arguments: str, settings: str = SETTINGS) -> None:
        environment = {**self.environment, "DJANGO_SETTINGS_MODULE": settings}
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def _answers(self, name: str, port: int) -> bool:
        assert self.processes[name].poll() is None, self.log(name)
        try:
            return httpx.get(f"http://{HOST}:{port}/roost/health/live", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def _api(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.made['token']}"}
        answer = httpx.request(method, f"{self.address}/roost/api/v1{path}", json=body, headers=headers, timeout=10)
        assert answer.is_success, answer.text
        return answer.json()
