"""Turn a database address into Django's DATABASES entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

SQLITE_OPTIONS: dict[str, Any] = {
    # WAL lets readers go on while a step commits; FULL makes a commit survive a power cut.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    # Seconds a writer waits for the one write lock before it gives up.
    "timeout": 20,
}


def database_from_url(url: str, base_dir: Path, password: str = "", *, pool: str = "") -> dict[str, Any]:
    """Parse a database address; `password` and `pool` are for a server whose address has none.

    `postgres://` and `postgresql://` name a server; `?host=/directory` names a socket, `?pool=20`
    keeps up to 20 connections of a process in a pool, other query parameters become libpq
    options. `sqlite:///name` is relative to `base_dir`, `sqlite:////name` absolute. Raises
    ImproperlyConfigured for anything else.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"postgres", "postgresql"}:
        return _postgres(url, password, pool)
    if scheme == "sqlite":
        return _sqlite(url, base_dir)
    raise ImproperlyConfigured(
        f"The database address starts with {scheme!r}; "
        "write postgresql://user:password@host:5432/name or sqlite:///db.sqlite3."
    )


def _postgres(url: str, password: str, pool: str) -> dict[str, Any]:
    parts = urlsplit(url)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    if pool:
        options.setdefault("pool", pool)
    if "pool" in options:
        # Under ASGI each request has a thread of its own, and would open a connection of its own.
        options["pool"] = {"min_size": 1, "max_size": _whole(options["pool"])}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname", "") or unquote(parts.path.lstrip("/")),
        "USER": options.pop("user", "") or unquote(parts.username or ""),
        "PASSWORD": options.pop("password", "") or unquote(parts.password or "") or password,
        "HOST": options.pop("host", "") or unquote(parts.hostname or ""),
        "PORT": options.pop("port", "") or str(parts.port or ""),
        "OPTIONS": options,
    }


def _whole(text: str) -> int:
    if not text.isdecimal() or text == "0":
        raise ImproperlyConfigured(f"pool={text} is no number of connections; write pool=20.")
    return int(text)


def _sqlite(url: str, base_dir: Path) -> dict[str, Any]:
    path = unquote(urlsplit(url).path).removeprefix("/")
    if not path:
        raise ImproperlyConfigured("The SQLite address names no file; write sqlite:///db.sqlite3.")
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(base_dir / path),
        "OPTIONS": dict(SQLITE_OPTIONS),
    }
