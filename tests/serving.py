"""Serve the demo product on loopback, in processes of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes.tree import ROOT

PATIENCE = 30.0
API = "/roost/api/v1"


@contextmanager
def serving(log: Path, *options: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Give the API's address and the server's first process; `options` are uvicorn's, everything ends with the block.

    Which database is served, `ROOST_PROCESS_DATABASE_URL` says.
    """
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "roost_project.asgi:application", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--lifespan", "off", "--log-level", "warning", *options]
    values = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.processes.settings", "PYTHONPATH": str(ROOT)}
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**values, **environment}, stdout=out, stderr=out, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}{API}"
        _wait(f"{url}/health/live", process, log)
        yield url, process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own server, on loopback
            return
        time.sleep(0.05)
    raise AssertionError(f"the server does not answer: {log.read_text()[-4000:]}")
