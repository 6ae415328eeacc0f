"""Wake parked items whose resources are free although nobody woke them.

Whoever frees a resource wakes its waiters, but looks at the first hundred only, and nobody is told when an operator
raises a capacity.
"""

from __future__ import annotations

from collections.abc import Sequence

from runtime import clock
from runtime.store import waking
from runtime.store.postgres.look import Found
from runtime.store.resources import Key
from runtime.store.transactions import transacted


def wake_missed(using: str, found: Sequence[Found]) -> int:
    """Wake the waiters that fit of these resources; return how many were woken."""
    keys = [Key(one.namespace, one.key) for one in found]

    def once() -> int:
        freeing = waking.prepare(using, (), keys=keys)
        return waking.wake(using, freeing.waiters, clock.now(using))

    return transacted(using, once) if keys else 0
