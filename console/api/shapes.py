"""Make answers of rows, without what the caller may not read, and with what looks like a secret masked."""

from __future__ import annotations

from typing import Any, TypeVar

from ninja import Schema

from console.api.masking import masked
from console.api.schemas.history import CallOut, EventOut, SignalOut, SnapshotOut, WaitOut
from console.api.schemas.items import Item, ItemHead, LetterError, LetterOut, Progress
from console.callers import Caller
from runtime.models import Event, Signal, Snapshot, Wait, WorkItem
from runtime.queries.dead import DeadLetter
from runtime.queries.journal import RecordedCall
from runtime.queries.progress import progress_of

S = TypeVar("S", bound=Schema)

SECRET = ("payload", "config", "result", "last_error")
_COLUMNS = tuple(ItemHead.model_fields)


def item(found: WorkItem, caller: Caller) -> Item:
    """Return an item. What a row holds is of its column's type, and so is not checked again, field by field."""
    values = {name: getattr(found, name) for name in _COLUMNS}
    values |= {name: contents(getattr(found, name), caller) for name in SECRET}
    shown: Item = Item.model_construct(**values, progress=_progress(found, caller), readable=caller.reads_payload)
    return shown


def _progress(found: WorkItem, caller: Caller) -> Progress | None:
    told = progress_of(found) if caller.reads_payload else None
    return None if told is None else Progress(fraction=told.fraction, note=masked(told.note))


def letter(found: DeadLetter, caller: Caller) -> LetterOut:
    """Return a dead letter. What a row holds is of its column's type, as with `item`."""
    error = None
    if caller.reads_payload:
        told = {"type": found.error_type, "code": found.code, "category": found.category, "message": found.message}
        shown = masked(told)
        # The product's callable may make something else of it than an object.
        values = shown if isinstance(shown, dict) else {"message": shown}
        error = LetterError(**{name: str(values.get(name, "")) for name in LetterError.model_fields})
    seen = caller.may("view_event")
    columns = {name: getattr(found.item, name) for name in _COLUMNS}
    return LetterOut.model_construct(
        **columns,
        error=error,
        worker=found.worker if seen else None,
        worker_name=found.worker_name if seen else "",
    )


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


def signal(found: Signal, caller: Caller) -> SignalOut:
    """Return a signal; `taken_by` is the wait that has it."""
    elsewhere = {"item", "taken_by", "payload"}
    values = {name: getattr(found, name) for name in SignalOut.model_fields if name not in elsewhere}
    payload = contents(found.payload, caller)
    return SignalOut(**values, item=found.target_id, taken_by=found.taken_by_id, payload=payload)


def contents(value: Any, caller: Caller) -> Any:
    """Return what products and agents put in: masked, or None for who may not read it."""
    return masked(value) if caller.reads_payload else None


def _shown(shape: S, caller: Caller, *secret: str) -> S:
    return shape.model_copy(update={name: contents(getattr(shape, name), caller) for name in secret})
