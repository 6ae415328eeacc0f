"""A Redis of a test's own, on a socket in a folder of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

from tests.processes.tree import eventually
from tests.programs import program

SECONDS = 10.0


class Redis:
    """A server that keeps nothing on disk and listens on no port."""

    def __init__(self) -> None:
        self._program = program("redis-server")
        # A socket's path is short, and pytest's folders may not be.
        self._folder = Path(tempfile.mkdtemp(prefix="roost-redis-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = self._folder / "socket"
        self.url = f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = ("--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(
            [self._program, *options, "--dir", str(self._folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        eventually(SECONDS, self._answers, "an answer of redis-server")

    def kill(self) -> None:
        """End it without a word. What was in it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it and remove its folder."""
        self.kill()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "redis-server ended"
        with closing(socket.socket(socket.AF_UNIX)) as line:
            line.settimeout(1.0)
            try:
                line.connect(str(self.socket))
                line.sendall(b"PING\r\n")
                return line.recv(16) == b"+PONG\r\n"
            except OSError:
                return False
