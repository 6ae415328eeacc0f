"""Find engines by name: in `ROOST_ENGINES`, and in the entry-point group `roost.engines` of installed packages.

Nothing is imported until an engine is asked for. `ROOST_ENGINES` wins over an entry point of the same name.
Names in data are looked up here and nowhere else: no class is ever imported because a row names it.
"""

from __future__ import annotations

import inspect
from functools import cache, lru_cache
from importlib import metadata
from typing import Any

from django.utils.module_loading import import_string

from runtime import keeping
from runtime.conf import settings as roost
from runtime.engine import Engine
from runtime.exceptions import EngineLoadError, InvalidInput, UnknownEngine

GROUP = "roost.engines"


@lru_cache(maxsize=1)
def _entry_points() -> dict[str, str]:
    return {point.name: point.value.replace(":", ".") for point in metadata.entry_points(group=GROUP)}


def paths() -> dict[str, str]:
    """Return name → dotted path of every registered engine, without importing any."""
    return {**_entry_points(), **roost.ENGINES}


def names() -> list[str]:
    """Return the names of all registered engines, sorted."""
    return sorted(paths())


def get(name: str) -> Engine:
    """Return the engine of that name, one instance per process.

    Raises `UnknownEngine` (naming what is available) or `EngineLoadError` (naming the cause).
    """
    path = paths().get(name)
    if path is None:
        available = ", ".join(names()) or "none: set ROOST_ENGINES"
        raise UnknownEngine(f"There is no engine {name!r}. Available: {available}.", field="engine")
    return _load(name, path)


@cache
def _load(name: str, path: str) -> Engine:
    try:
        found: Any = import_string(path)
    except Exception as error:
        raise EngineLoadError(f"Engine {name!r} cannot be imported from {path!r}: {error}") from error
    if inspect.isclass(found) and issubclass(found, Engine):
        try:
            found = found()
        except Exception as error:
            raise EngineLoadError(f"Engine {name!r} ({path}) cannot be made: {error}") from error
    if not isinstance(found, Engine):
        raise EngineLoadError(
            f"{path!r} for engine {name!r} is a {type(found).__name__}; it must be an Engine class, an Engine "
            f"instance, or a function decorated with @engine()."
        )
    if type(found.state_schema) is not int or not 1 <= found.state_schema < 2**31:
        raise EngineLoadError(f"The state_schema of engine {name!r} is {found.state_schema!r}; it must be 1, 2, 3 ….")
    try:
        keeping.parse(found.snapshots)
    except InvalidInput as error:
        raise EngineLoadError(f"The `snapshots` of engine {name!r} cannot be: {error}") from error
    return found
