"""Let a test fail a process around each write of its store."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from runtime import faults
from runtime.store.base import Store


def with_points(store: Store) -> Store:
    """Return the store with a point before and after each of its methods that has a place of that name."""
    for place in faults.PLACES:
        method = getattr(store, place, None)
        if method is not None:
            setattr(store, place, _between(place, method))
    return store


def _between(place: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def reaching(*args: Any, **options: Any) -> Any:
        with faults.around(place):
            return method(*args, **options)

    return reaching
