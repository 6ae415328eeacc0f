"""pgbouncer in transaction mode between some workers and the database, on a socket of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import psycopg

from tests.postgres import end_with_parent
from tests.programs import find

PROGRAM = "pgbouncer"
MISSING = "The nightly soak needs pgbouncer, which is not here. Install it: apt-get install pgbouncer\n"
START_SECONDS = 10.0
# A server that comes back is asked again at once: what is measured is Roost, not the pooler's patience.
CONFIGURATION = """
[databases]
{name} = host={host} port={port} dbname={name} user={user}
[pgbouncer]
unix_socket_dir = {folder}
listen_port = 6432
auth_type = any
admin_users = {user}
pool_mode = transaction
max_client_conn = 500
default_pool_size = {sessions}
server_login_retry = 1
ignore_startup_parameters = extra_float_digits,options
logfile = {folder}/log
"""


def program() -> str | None:
    """Return where the pooler's program is, None where it is not."""
    return find(PROGRAM)


class Pooler:
    """One pgbouncer before the database at `url`; it ends with whoever started it. It refuses to run as root.

    It keeps up to so many sessions, which its clients share.
    """

    def __init__(self, url: str, sessions: int = 20) -> None:
        parts = urlsplit(url)
        self.name, self.user = parts.path.lstrip("/"), parts.username or "postgres"
        self.folder = Path(tempfile.mkdtemp(prefix="roost-pooler-"))
        self.direct = url
        self._sessions = sessions
        self._host = parse_qs(parts.query).get("host", [parts.hostname or "127.0.0.1"])[0]
        self._port = parts.port or 5432
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return the address of the same database behind the pooler."""
        return self._address(self.name)

    def __enter__(self) -> Self:
        found = program()
        assert found is not None, MISSING
        server = {"name": self.name, "host": self._host, "port": self._port, "user": self.user}
        file = self.folder / "pgbouncer.ini"
        file.write_text(CONFIGURATION.format(**server, folder=self.folder, sessions=self._sessions))
        self._process = subprocess.Popen(
            [found, "--quiet", str(file)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=partial(end_with_parent, signal.SIGTERM),  # noqa: PLW1509 - one C call, and no thread runs yet
            **self._identity(),
        )
        give_up_at = time.monotonic() + START_SECONDS
        while not (self.folder / ".s.PGSQL.6432").exists():
            assert self._process.poll() is None, f"pgbouncer did not start: {self._log()}"
            assert time.monotonic() < give_up_at, f"pgbouncer does not answer: {self._log()}"
            time.sleep(0.05)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def transactions(self) -> int:
        """Return how many transactions have come through."""
        with psycopg.connect(self._address("pgbouncer"), autocommit=True) as console:
            cursor = console.execute("SHOW STATS")
            columns = [column.name for column in cursor.description or ()]
            return sum(row[columns.index("total_xact_count")] for row in cursor if row[0] == self.name)

    def _address(self, name: str) -> str:
        return f"postgresql://{self.user}@/{name}?host={self.folder}&port=6432"

    def _log(self) -> str:
        log = self.folder / "log"
        return log.read_text()[-1000:] if log.exists() else "it wrote no log"

    def _identity(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        shutil.chown(self.folder, "nobody")
        return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid}
