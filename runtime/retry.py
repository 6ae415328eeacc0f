"""Decide when a failed step runs again: pure functions, no clock and no database."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass

from runtime.choices import RETRIED, ErrorCategory
from runtime.conf import settings as roost
from runtime.errors import Verdict
from runtime.exceptions import InvalidInput


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often and when a step that failed is run again.

    `max_attempts` counts the first run. Delays are seconds: `base`·2^(failures-1), never above `cap`, then
    moved by up to ± `jitter` (a share, 0…1) so that items which failed together do not come back together.
    `categories` are the errors worth another attempt (see `runtime.errors`); any other ends the item at once. An error
    that says of itself whether it may be retried is believed.
    """

    max_attempts: int
    base: float
    cap: float
    jitter: float
    categories: Collection[str] = RETRIED

    def __post_init__(self) -> None:
        unknown = set(self.categories) - set(ErrorCategory.values)
        if unknown:
            named, known = ", ".join(sorted(map(repr, unknown))), ", ".join(ErrorCategory.values)
            raise InvalidInput(f"There is no category of errors {named}. Categories: {known}.", field="categories")

    @classmethod
    def default(cls) -> RetryPolicy:
        """Return the policy that the `ROOST_MAX_ATTEMPTS` and `ROOST_BACKOFF_*` settings describe."""
        return cls(
            max_attempts=roost.MAX_ATTEMPTS,
            base=roost.BACKOFF_BASE,
            cap=roost.BACKOFF_CAP,
            jitter=roost.BACKOFF_JITTER,
        )

    @classmethod
    def fixed(cls, seconds: float, max_attempts: int, *, categories: Collection[str] = RETRIED) -> RetryPolicy:
        """Return a policy that waits the same time after each failure."""
        return cls(max_attempts=max_attempts, base=seconds, cap=seconds, jitter=0.0, categories=categories)

    def retries(self, verdict: Verdict) -> bool:
        """Say whether an error of this verdict is worth another attempt."""
        return verdict.retryable if verdict.explicit else verdict.category in self.categories

    def delay(self, failures: int, *, chance: float | None = None) -> float:
        """Return the seconds to wait after the given number of failures (1 = the first).

        `chance` (0…1) stands for the random draw in tests. Never overflows, whatever `failures` is.
        """
        exponent = min(max(failures, 1) - 1, 62)
        wait = min(self.cap, self.base * 2.0**exponent)
        draw = random.random() if chance is None else chance  # noqa: S311 - spreads load, guards nothing
        return max(0.0, wait * (1 + self.jitter * (2 * draw - 1)))
