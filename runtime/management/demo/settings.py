"""The product's settings, but with a database and artifacts of the demo's own.

`ROOST_DEMO_PRODUCT` names the product's settings module, `ROOST_DEMO_FOLDER` the folder of the demo.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

_product = import_module(os.environ["ROOST_DEMO_PRODUCT"])
globals().update({name: getattr(_product, name) for name in dir(_product) if name.isupper()})

DEMO_FOLDER = Path(os.environ["ROOST_DEMO_FOLDER"])
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(DEMO_FOLDER / "roost.sqlite3"),
        "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", "timeout": 20},
    }
}
DATABASE_ROUTERS: list[str] = []
STORAGES: dict[str, dict[str, Any]] = {
    **getattr(_product, "STORAGES", {}),
    "roost_artifacts": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(DEMO_FOLDER / "artifacts"), "base_url": None},
    },
}
ROOST_DATABASE = None
ROOST_DIRECT_DATABASE = None
ROOST_ARTIFACT_STORAGE = "roost_artifacts"
ROOST_ENGINES: dict[str, str] = {
    "watchlist": "engines.watchlist.Watchlist",
    "counter": "engines.counter.Counter",
    **getattr(_product, "ROOST_ENGINES", {}),
}
# The demo's item watches a page that the demo serves on this machine.
ROOST_OUTGOING_ALLOW: list[str] = [*getattr(_product, "ROOST_OUTGOING_ALLOW", []), "127.0.0.0/8", "::1"]
