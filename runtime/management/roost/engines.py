"""`roost engines`: which engines are registered, and whether they load."""

from __future__ import annotations

from typing import Any

from runtime import registry
from runtime.exceptions import EngineLoadError
from runtime.management.roost.call import Call, Commands


def register(commands: Commands) -> None:
    """Declare the command."""
    commands.add("engines", engines, about="List the registered engines.")


def engines(call: Call) -> None:
    """List the engines; one that does not load is shown with the cause, and is no failure of this command."""
    found = [_engine(name, path) for name, path in sorted(registry.paths().items())]
    call.printer.document({"engines": found})
    call.printer.table(
        ("engine", "version", "steps", "path", "error"),
        ((one["name"], one["version"], one["lane"], one["path"], one["error"]) for one in found),
        empty="No engine is registered: set ROOST_ENGINES.",
    )


def _engine(name: str, path: str) -> dict[str, Any]:
    entry = {"name": name, "path": path, "version": "", "lane": "", "error": ""}
    try:
        engine = registry.get(name)
    except EngineLoadError as error:
        return entry | {"error": str(error)}
    return entry | {"version": engine.version, "lane": "async" if engine.is_async else "atomic"}
