"""Make answers of rows, without what the caller may not read, and with what looks like a secret masked."""

from __future__ import annotations

from typing import Any, TypeVar

from ninja import Schema

from console.api.callers import Caller
from console.api.masking import masked
from console.api.schemas.history import CallOut, EventOut, SnapshotOut, WaitOut
from console.api.schemas.items import Item
from runtime.models import Event, Snapshot, Wait, WorkItem
from runtime.queries.journal import RecordedCall

S = TypeVar("S", bound=Schema)

SECRET = ("payload", "config", "result", "last_error")


def item(found: WorkItem, caller: Caller) -> Item:
    """Return an item."""
    shown: Item = Item.model_validate(found)
    shown.readable = caller.reads_payload
    return _shown(shown, caller, *SECRET)


def event(found: Event, caller: Caller) -> EventOut:
    """Return an event."""
    return _shown(EventOut.model_validate(found), caller, "data")


def snapshot(found: Snapshot, caller: Caller) -> SnapshotOut:
    """Return a snapshot."""
    return _shown(SnapshotOut.model_validate(found), caller, "data")


def call(found: RecordedCall, caller: Caller) -> CallOut:
    """Return a recorded call."""
    values = {name: getattr(found.entry, name) for name in CallOut.model_fields if name != "in_doubt"}
    return _shown(CallOut(**values, in_doubt=found.in_doubt), caller, "result", "error")


def wait(found: Wait, owner: WorkItem, caller: Caller) -> WaitOut:
    """Return a wait of that item."""
    elsewhere = {"item", "namespace", "engine", "votes", "answer_schema"}
    values = {name: getattr(found, name) for name in WaitOut.model_fields if name not in elsewhere}
    shown = WaitOut(
        **values,
        item=owner.pk,
        namespace=owner.namespace,
        engine=owner.engine,
        votes=len(found.answers),
        answer_schema=found.schema,
    )
    shown = _shown(shown, caller, "data", "default", "resolution")
    # A schema says what an answer looks like: masked, it would say something else.
    return shown if caller.reads_payload else shown.model_copy(update={"answer_schema": None})


def contents(value: Any, caller: Caller) -> Any:
    """Return what products and agents put in: masked, or None for who may not read it."""
    return masked(value) if caller.reads_payload else None


def _shown(shape: S, caller: Caller, *secret: str) -> S:
    return shape.model_copy(update={name: contents(getattr(shape, name), caller) for name in secret})
