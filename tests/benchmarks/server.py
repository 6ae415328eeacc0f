"""The server that is measured: which it is, and that it keeps what it commits."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from django.db import connection

from tests.postgres import PrivatePostgres

DATABASE = "roost_bench"
VARIABLE = "ROOST_TEST_DATABASE_URL"
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@contextmanager
def database() -> Iterator[tuple[str, Path | None]]:
    """Give the address of a fresh database, and the server's log where it is ours to read."""
    given = os.environ.get(VARIABLE)
    if given:
        yield fresh(given, DATABASE), None
        return
    with PrivatePostgres() as server:
        yield fresh(server.url, DATABASE), server.folder / "log"


def fresh(url: str, name: str) -> str:
    """Create a database on the server anew and return its address."""
    with psycopg.connect(url, autocommit=True) as raw:
        raw.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        raw.execute(f"CREATE DATABASE {name}")
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def require_durable() -> None:
    """Say what is measured on, and end unless every commit is on disk before it is answered."""
    with connection.cursor() as cursor:
        found = {}
        for name in (*DURABLE, "wal_sync_method", "shared_buffers", "server_version"):
            cursor.execute(f"SHOW {name}")
            found[name] = cursor.fetchone()[0]
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relpersistence <> 'p' AND relkind = 'r'"
            " AND (relname LIKE 'roost%' OR relname LIKE 'ledger%')"
        )
        unlogged = [name for (name,) in cursor.fetchall()]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    packages = ", ".join(f"{name} {version(name)}" for name in ("Django", "psycopg", "django-q2"))
    settings = ", ".join(f"{name} = {value}" for name, value in found.items())
    sys.stderr.write(f"{machine}; {packages}\nPostgreSQL: {settings}\n")
    if unlogged or any(found[name] != value for name, value in DURABLE.items()):
        raise SystemExit(
            f"Nothing is measured on a server that may lose commits: {DURABLE} is needed,"
            f" and no unlogged table (found: {', '.join(unlogged) or 'none'})."
        )
