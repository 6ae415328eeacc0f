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
from runtime.retry import RetryPolicy
from runtime.sentences import say as _

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
        raise UnknownEngine(
            _("There is no engine %(name)r. Available: %(available)s.", name=name, available=available), field="engine"
        )
    return _load(name, path)


@cache
def _load(name: str, path: str) -> Engine:
    try:
        found: Any = import_string(path)
    except Exception as error:
        raise EngineLoadError(
            _("Engine %(name)r cannot be imported from %(path)r: %(error)s", name=name, path=path, error=error)
        ) from error
    if inspect.isclass(found) and issubclass(found, Engine):
        try:
            found = found()
        except Exception as error:
            raise EngineLoadError(
                _("Engine %(name)r (%(path)s) cannot be made: %(error)s", name=name, path=path, error=error)
            ) from error
    return _checked(name, path, found)


def _checked(name: str, path: str, found: Any) -> Engine:
    """Return the engine. Raises `EngineLoadError` for what is none, or has attributes that cannot be meant."""
    if not isinstance(found, Engine):
        raise EngineLoadError(
            _(
                "%(path)r for engine %(name)r is a %(kind)s; it must be an Engine class, an Engine instance, or a "
                "function decorated with @engine().",
                path=path,
                name=name,
                kind=type(found).__name__,
            )
        )
    if type(found.state_schema) is not int or not 1 <= found.state_schema < 2**31:
        raise EngineLoadError(
            _(
                "The state_schema of engine %(name)r is %(state_schema)r; it must be 1, 2, 3 ….",
                name=name,
                state_schema=found.state_schema,
            )
        )
    span = found.step_timeout
    if span is not None and (isinstance(span, bool) or not isinstance(span, int | float) or not span > 0):
        raise EngineLoadError(
            _(
                "The step_timeout of engine %(name)r is %(span)r; it must be seconds above 0, or None.",
                name=name,
                span=span,
            )
        )
    if found.retry is not None and not isinstance(found.retry, RetryPolicy):
        raise EngineLoadError(
            _(
                "The retry of engine %(name)r is %(retry)r; it must be a RetryPolicy, or None.",
                name=name,
                retry=found.retry,
            )
        )
    try:
        keeping.parse(found.snapshots)
    except InvalidInput as error:
        raise EngineLoadError(
            _("The `snapshots` of engine %(name)r cannot be: %(error)s", name=name, error=error)
        ) from error
    return found
