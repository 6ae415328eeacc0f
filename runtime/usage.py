"""Add up what a run of a step says that it has used: tokens, and money in millionths of a dollar."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from runtime.exceptions import InvalidInput

MICRO = Decimal(1_000_000)
MOST = 10**15
"""The most tokens, and millionths of a dollar, of one run: thousands of such fit into an item's totals."""
KEY = "usage"
"""Where an event's data has it."""


class Tally:
    """What one run of a step has used so far. Calls in several threads may add to it."""

    __slots__ = ("_cost", "_lock", "_tokens")

    def __init__(self) -> None:
        self._tokens = 0
        self._cost = Decimal(0)
        self._lock = threading.Lock()

    def add(self, tokens: int, cost: int | float | Decimal) -> None:
        """Add tokens, and a cost in dollars. Raises `InvalidInput` and adds nothing, unless both are possible."""
        used, dollars = checked(tokens, cost)
        with self._lock:
            used, dollars = self._tokens + used, self._cost + dollars
            if used > MOST or dollars * MICRO > MOST:
                raise InvalidInput(f"A run of a step may use {MOST} tokens and as many microdollars at most.")
            self._tokens, self._cost = used, dollars

    @property
    def totals(self) -> tuple[int, int]:
        """The tokens, and the cost in millionths of a dollar, rounded once for all of it."""
        with self._lock:
            return self._tokens, int((self._cost * MICRO).to_integral_value(ROUND_HALF_UP))


def checked(tokens: Any, cost: Any) -> tuple[int, Decimal]:
    """Return the tokens, and the cost in dollars, exactly. Raises `InvalidInput`."""
    if not isinstance(tokens, int) or isinstance(tokens, bool) or tokens < 0:
        raise InvalidInput(f"tokens is {tokens!r}; it must be a whole number, 0 or more.", field="tokens")
    if not isinstance(cost, int | float | Decimal) or isinstance(cost, bool):
        raise InvalidInput(f"cost is {cost!r}; it must be a number of dollars, 0 or more.", field="cost")
    dollars = Decimal(str(float(cost))) if isinstance(cost, float) else Decimal(cost)
    if not dollars.is_finite() or dollars < 0:
        raise InvalidInput(f"cost is {cost!r}; it must be a number of dollars, 0 or more.", field="cost")
    return tokens, dollars


def told_in(data: Any) -> tuple[int, int]:
    """Return the tokens and the millionths of a dollar that the data of an attempt's event tells."""
    used = data.get(KEY) if isinstance(data, Mapping) else None
    if not isinstance(used, Mapping):
        return 0, 0
    return int(used.get("tokens", 0)), int(used.get("cost", 0))
