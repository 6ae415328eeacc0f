"""The demo product under test: on SQLite, or on the PostgreSQL that ROOST_TEST_DATABASE_URL names."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from roost_project.settings import *  # noqa: F403 - settings are names
from roost_project.settings import BASE_DIR, INSTALLED_APPS, STORAGES, database_from_url

LEDGER_ENGINES = (
    *("Hop", "HopCompact", "HopSparse", "HopLarge", "HopLargeCompact", "Write", "WriteCompact", "WriteLarge"),
    *("Stubborn", "Sleepy", "Poison", "Flaky", "Watchful", "Gather"),
)
CALLING_ENGINES = ("Caller", "AtomicCaller", "LongCaller", "AtomicLongCaller", "Ticker")
TEST_FOLDER = Path(tempfile.gettempdir()) / f"roost-tests-{os.getpid()}"


def database(url: str) -> dict[str, Any]:
    """Return Django's settings of a database; `ROOST_TEST_UNSYNCED` leaves its writes to the kernel.

    Processes die in the suite, the machine does not: what was written is there, whether or not anybody waits for the
    disk. Measurements do wait.
    """
    found = database_from_url(url, BASE_DIR)
    if os.environ.get("ROOST_TEST_UNSYNCED") and "sqlite" in found["ENGINE"]:
        found["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"
    return found


# On SQLite a file of this process alone: threads and child processes open it too.
DATABASE_URL = os.environ.get("ROOST_TEST_DATABASE_URL") or f"sqlite:///{TEST_FOLDER}/unused.sqlite3"
DATABASES = {"default": database(DATABASE_URL)}
if "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["TEST"] = {"NAME": str(TEST_FOLDER / "test.sqlite3")}

INSTALLED_APPS = [*INSTALLED_APPS, "tests.ledger"]
ROOST_ENGINES = {
    **globals().get("ROOST_ENGINES", {}),
    **{name.lower(): f"tests.ledger.engines.{name}" for name in LEDGER_ENGINES},
    **{name.lower(): f"tests.ledger.calling.{name}" for name in CALLING_ENGINES},
}
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    "roost_artifacts": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(TEST_FOLDER / "artifacts"), "base_url": None},
    },
}
ROOST_WORKSPACES_ROOT = os.environ.get("ROOST_WORKSPACES_ROOT") or str(TEST_FOLDER / "workspaces")
SECRET_KEY = "only for tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
