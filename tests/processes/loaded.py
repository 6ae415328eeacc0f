"""Load everything that workers and commands need: imported by the nursery that processes are forked from."""

from __future__ import annotations

from contextlib import suppress

import django

django.setup()

from django.db import connection  # noqa: E402 - Django has to be there first

from runtime import registry  # noqa: E402
from runtime.exceptions import EngineLoadError  # noqa: E402
from runtime.management.commands import roost, runworker  # noqa: E402, F401
from runtime.worker import drain  # noqa: E402, F401
from tests.crash import inside, scenarios  # noqa: E402, F401
from tests.processes import nursery  # noqa: E402, F401

connection.prepare_database  # noqa: B018 - loads the backend, and connects nobody

for _name in registry.names():
    # A worker leaves out an engine that does not load, too.
    with suppress(EngineLoadError):
        registry.get(_name)
