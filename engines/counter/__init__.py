"""An engine that counts: the smallest that shows delays, failures and long steps."""

from __future__ import annotations

from engines.counter.engine import Counter

__all__ = ["Counter"]
