"""The demo product's console: `make console`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.contrib.auth.models import User

from roost_project import console
from roost_project.demo_data import fill
from runtime.choices import State
from runtime.models import WorkItem

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60.0


@pytest.mark.django_db
def test_demo_data_is_made_once() -> None:
    count = fill("http://127.0.0.1:8000/admin/login/")
    assert WorkItem.objects.count() == count
    assert fill("http://127.0.0.1:8000/admin/login/") == 0
    assert WorkItem.objects.count() == count
    assert WorkItem.objects.filter(state=State.PAUSED).exists()


@pytest.mark.django_db
def test_the_password_is_told_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROOST_DEMO_PASSWORD", raising=False)
    password = console.make_user().split(" / ")[1]
    assert password not in console.make_user()
    assert User.objects.get(username="admin").check_password(password)
    monkeypatch.setenv("ROOST_DEMO_PASSWORD", "open sesame")
    assert "open sesame" not in console.make_user()
    assert User.objects.get(username="admin").check_password("open sesame")


def test_a_deployment_gets_neither_demo_data_nor_a_demo_login(settings: Any) -> None:
    settings.DEPLOYED = True
    with pytest.raises(SystemExit, match="deployment"):
        console.prepare("http://127.0.0.1:8000/admin/")


def test_a_port_that_is_taken_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert console.free_port(port) not in {0, port}


@contextmanager
def started(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the console on a database of its own; give the process, and its lines up to the login."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ROOST_")}
    ours |= {"ROOST_DATABASE_URL": f"sqlite:///{folder}/db.sqlite3", "ROOST_ARTIFACTS_DIR": str(folder / "artifacts")}
    ours |= {"DJANGO_SETTINGS_MODULE": "roost_project.settings"}
    command = [sys.executable, "-m", "roost_project.console", "--port", str(console.free_port(0))]
    process = subprocess.Popen(
        command, cwd=ROOT, env=ours, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    watchdog = threading.Timer(SECONDS, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        lines = ""
        while "Login:" not in lines:
            line = process.stdout.readline()
            assert line, f"it ended with {process.wait()}: {lines}"
            lines += line
        yield process, lines
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS)
        watchdog.cancel()
        if process.stdout is not None:
            process.stdout.close()


@pytest.mark.slow
@pytest.mark.once
def test_the_console_starts_with_a_worker_and_ctrl_c_ends_every_process(tmp_path: Path) -> None:
    with started(tmp_path) as (process, lines):
        address = lines.split("The console: ")[1].split()[0]
        assert "admin / " in lines
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own address
            assert answer.url.endswith(f"/admin/login/?next={address[address.index('/admin') :]}")
        family: list[psutil.Process] = []

        def working() -> bool:
            family[:] = psutil.Process(process.pid).children(recursive=True)
            return len(family) >= 3

        wait_until(working)
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    wait_until(lambda: not any(alive(member) for member in family))


def alive(process: psutil.Process) -> bool:
    """Say whether the process still does anything."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(true: Callable[[], bool]) -> None:
    """Return when it is so; fail when it is not in time."""
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
