"""Take up held items that this worker's code goes on with: those that older, or newer, code has left."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping

from runtime import clock
from runtime.compatibility import objection
from runtime.engine import Engine
from runtime.operations.take_up import TakeUp
from runtime.queries import held

logger = logging.getLogger("roost.worker")

REST_SECONDS = 5.0
"""Between two looks through all held items, and the least time that an item stays held: while old and new code run
side by side, the old may get it again."""
IDLE_SECONDS = 10.0
"""Between two looks while nothing is held."""
LOOKED_AT = 500
TAKEN = 50
"""Items looked at, and taken up, in one turn of the sweeper, which has to take back what others hold."""


class TakingUp:
    """Goes through the held items a part at a time. A worker's code never changes, so neither does its verdict."""

    def __init__(self, using: str, engines: Mapping[str, Engine]) -> None:
        self._using = using
        self._engines = engines
        self._last: uuid.UUID | None = None
        self._rest_until = 0.0

    def take_if_due(self) -> int:
        """Look at the next held items and take up those that fit; return how many. Raises database errors."""
        if time.monotonic() < self._rest_until:
            return 0
        before = clock.before(self._using, REST_SECONDS)
        found = held.page(self._engines, before=before, after=self._last, limit=LOOKED_AT, using=self._using)
        taken = 0
        for item in found:
            if taken == TAKEN:
                return taken
            self._last = item.id
            taken += self._take(item)
        if len(found) < LOOKED_AT:
            idle = not found and self._last is None
            self._last, self._rest_until = None, time.monotonic() + (IDLE_SECONDS if idle else REST_SECONDS)
        return taken

    def _take(self, item: held.HeldItem) -> bool:
        engine = self._engines[item.engine]
        if objection(engine, item.engine_version, item.state_schema) is not None:
            return False
        note = f"code of version {engine.version} goes on with it"
        TakeUp(item.id, reason=note, using=self._using).execute()
        logger.info("took up held item %s", item.id, extra={"work_item": str(item.id)})
        return True
