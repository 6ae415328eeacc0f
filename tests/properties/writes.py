"""Check what a machine promises only where something was written since it was last looked at.

A rule that found nothing to do, or that had its promises checked on its way, leaves every row as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.db import connection

WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
"""Found also in `FOR UPDATE`: what may write counts as written."""


class Writes:
    """Counts the statements that may write, until it is closed."""

    def __init__(self) -> None:
        self.count = 0
        self.checked: dict[str, int] = {}
        connection.execute_wrappers.append(self._note)

    def close(self) -> None:
        """Count no more."""
        connection.execute_wrappers.remove(self._note)

    def _note(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        self.count += bool(WRITES.search(str(sql)))
        return execute(sql, params, many, context)


def after_writes(check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Leave a check of a machine that has `writes` out while nothing was written since it last passed."""

    @wraps(check)
    def only(machine: Any) -> None:
        writes: Writes = machine.writes
        if writes.checked.get(check.__name__) != writes.count:
            check(machine)
            writes.checked[check.__name__] = writes.count

    return only
