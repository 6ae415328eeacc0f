"""Say whether code may go on with what other code has begun.

An item carries the version of the engine that it was enqueued for, and each snapshot the number of the shape of its
state. Both are asked before a step is run, and by `roost preflight` before a deploy.
"""

from __future__ import annotations

from runtime.engine import Engine
from runtime.exceptions import RoostError

NOT_ACCEPTED, NEWER_STATE, NO_UPCASTER = "not_accepted", "newer_state", "no_upcaster"


class Incompatible(RoostError):
    """This code must not go on with the item: it is held for code that can. `code` says what it objects to."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def objection(engine: Engine, version: str, schema: int | None) -> Incompatible | None:
    """Return what the engine's code has against an item of that version, whose state has that shape (None: no state).

    None when it goes on with it.
    """
    ours = engine.state_schema
    if not engine.accepts(version):
        return Incompatible(f"The code has version {engine.version}, which does not accept {version}.", NOT_ACCEPTED)
    if schema is None or schema == ours or engine.reads(schema):
        return None
    if schema > ours:
        return Incompatible(f"The state has shape {schema}; the code knows shapes up to {ours}.", NEWER_STATE)
    return Incompatible(f"The state has shape {schema} and the code shape {ours}, with no way there.", NO_UPCASTER)


def require(engine: Engine, version: str, schema: int) -> None:
    """Raise `Incompatible` unless the engine's code goes on with such an item."""
    found = objection(engine, version, schema)
    if found is not None:
        raise found
