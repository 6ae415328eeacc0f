"""Make answers of rows, without what the caller may not read."""

from __future__ import annotations

from typing import TypeVar

from ninja import Schema

from console.api.callers import Caller
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
    return shown if shown.readable else shown.model_copy(update=dict.fromkeys(SECRET))


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
    return _shown(shown, caller, "answer_schema", "data", "default", "resolution")


def _shown(shape: S, caller: Caller, *secret: str) -> S:
    return shape if caller.reads_payload else shape.model_copy(update=dict.fromkeys(secret))
