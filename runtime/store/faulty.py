"""Let a test fail a process around each write of its store."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from runtime import faults
from runtime.store.base import Store

SAME = {"insert_one": "insert"}
"""Methods that are a write of another's place."""


def with_points(store: Store) -> Store:
    """Return the store with a point before and after each of its methods that has a place of that name."""
    for name, place in {**{place: place for place in faults.PLACES}, **SAME}.items():
        method = getattr(store, name, None)
        # A store that does not have a method of its own for the same write does it by what has its points.
        if method is not None and getattr(type(store), name) is not getattr(Store, name, None):
            setattr(store, name, _between(place, method))
    return store


def _between(place: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def reaching(*args: Any, **options: Any) -> Any:
        with faults.around(place):
            return method(*args, **options)

    return reaching
