"""Keep the rules that follow items in memory, so that a commit without any costs no query."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import connections

from runtime.conf import PREFIX
from runtime.conf import settings as roost

logger = logging.getLogger("roost.rules")

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


class DeclaredRules(Generic[Rule]):
    """Rules that a setting declares, as `read` makes them of a name and what stands there; None for one that is off.

    The setting is read anew when it is another. What is no rule is left out, and told by a system check: an item's
    move must not fail for it.
    """

    def __init__(self, setting: str, read: Callable[[str, Any], Rule | None]) -> None:
        self.setting = setting
        self._read = read
        self._kept: tuple[str, tuple[Rule, ...]] = ("", ())

    def of(self) -> tuple[Rule, ...]:
        """Return the rules."""
        given = getattr(roost, self.setting)
        if not given:
            return ()
        text = json.dumps(given, default=str, skipkeys=True)
        if text != self._kept[0]:
            self._kept = (text, tuple(self._rules(json.loads(text))))
        return self._kept[1]

    def _rules(self, given: dict[str, Any]) -> list[Rule]:
        found = [self._rule(name, one) for name, one in given.items()]
        return [rule for rule in found if rule is not None]

    def _rule(self, name: str, given: Any) -> Rule | None:
        try:
            return self._read(name, given)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is left out
            logger.error("%s%s[%r]: %s", PREFIX, self.setting, name, error)
            return None
