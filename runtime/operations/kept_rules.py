"""Keep the rules that follow items in memory, so that a commit without any costs no query."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import connections

Rule = TypeVar("Rule")

KEPT_SECONDS = 1.0


class KeptRules(Generic[Rule]):
    """Rules as `read` finds them in a database, read at most once a second in each process.

    So a rule that was set, changed or removed holds within a second everywhere.
    """

    def __init__(self, read: Callable[[str], tuple[Rule, ...]]) -> None:
        self._read = read
        self._kept: dict[str, tuple[float, tuple[Rule, ...]]] = {}

    def forget(self) -> None:
        """Have the rules read anew."""
        self._kept.clear()

    def of(self, using: str) -> tuple[Rule, ...]:
        """Return the rules."""
        until, kept = self._kept.get(using, (0.0, ()))
        if time.monotonic() < until:
            return kept
        found = self._read(using)
        # What an open transaction shows may be undone; that there is nothing does no harm for a second.
        if not found or not connections[using].in_atomic_block:
            self._kept[using] = (time.monotonic() + KEPT_SECONDS, found)
        return found
