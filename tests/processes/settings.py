"""The demo product in a process of its own, beside the test that started it."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403 - settings are names
from tests.settings import STORAGES, database

DATABASES = {"default": database(os.environ["ROOST_PROCESS_DATABASE_URL"])}
STORAGES = {
    **STORAGES,
    "roost_artifacts": {
        "BACKEND": os.environ.get("ROOST_PROCESS_STORAGE") or "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": os.environ["ROOST_PROCESS_ARTIFACTS"], "base_url": None},
    },
}
if _direct := os.environ.get("ROOST_PROCESS_DIRECT_URL"):
    # The other address is that of a pooler.
    DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = True
    DATABASES["direct"] = database(_direct)
    ROOST_DIRECT_DATABASE = "direct"
for _name, _value in os.environ.items():
    if _name.startswith("ROOST_PROCESS_SET_"):
        _given = int(_value) if _value.isdecimal() else float(_value)
        globals()["ROOST_" + _name.removeprefix("ROOST_PROCESS_SET_")] = _given
if _skew := os.environ.get("ROOST_PROCESS_CLOCK_SKEW"):
    import datetime as _dt

    import time_machine

    time_machine.travel(_dt.datetime.now(_dt.UTC) + _dt.timedelta(seconds=float(_skew)), tick=True).start()
