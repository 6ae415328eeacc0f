"""Decide when a failed step runs again: pure functions, no clock and no database."""

from __future__ import annotations

import math
import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from runtime.choices import RETRIED, ErrorCategory
from runtime.conf import settings as roost
from runtime.errors import Verdict
from runtime.exceptions import InvalidInput


def check_tries(max_attempts: Any, base: Any, cap: Any, jitter: Any) -> None:
    """Raise `InvalidInput` for numbers of a policy that cannot be meant, naming the first of them."""
    if not isinstance(max_attempts, int) or isinstance(max_attempts, bool) or max_attempts < 1:
        raise InvalidInput(f"max_attempts is {max_attempts!r}; it must be 1 or more.", field="max_attempts")
    for name, value, most in (("base", base, math.inf), ("cap", cap, math.inf), ("jitter", jitter, 1)):
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
            wanted = "a number of seconds, 0 or more" if most > 1 else "a share, 0 to 1"
            raise InvalidInput(f"{name} is {value!r}; it must be {wanted}.", field=name)


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
        check_tries(self.max_attempts, self.base, self.cap, self.jitter)

    @classmethod
    def default(cls) -> RetryPolicy:
        """Return the policy that the `ROOST_MAX_ATTEMPTS` and `ROOST_BACKOFF_*` settings describe.

        Never raises: of a setting that makes no sense the nearest value that does is taken.
        """
        return cls(
            max_attempts=max(1, roost.MAX_ATTEMPTS),
            base=max(0.0, roost.BACKOFF_BASE),
            cap=max(0.0, roost.BACKOFF_CAP),
            jitter=min(max(0.0, roost.BACKOFF_JITTER), 1.0),
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
