"""Load everything that a worker needs: imported by the server that processes are forked from."""

from __future__ import annotations

from contextlib import suppress

import django

django.setup()

from runtime import registry  # noqa: E402 - Django has to be there first
from runtime.exceptions import EngineLoadError  # noqa: E402
from runtime.worker import drain  # noqa: E402, F401
from tests.crash import scenarios  # noqa: E402, F401

for _name in registry.names():
    # A worker leaves out an engine that does not load, too.
    with suppress(EngineLoadError):
        registry.get(_name)
