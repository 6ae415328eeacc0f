"""Turn rows into plain data: the JSON that `--format json` prints. Keys are the models' names."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from django.db.models import Model

from runtime.models import Artifact, Event, Lease, ResourceClaim, Signal, Snapshot, Wait, Worker, WorkItem
from runtime.queries.workers import WorkerView

Plain = Any
"""What JSON holds."""


def columns(model: type[Model], *without: str) -> list[str]:
    """Return the names of a model's columns but for some."""
    return [field.attname for field in model._meta.concrete_fields if field.attname not in without]


HEAVY = ("payload", "config", "result")
ITEM = columns(WorkItem)
HEAD = columns(WorkItem, *HEAVY, "last_error", "limited")
EVENT = columns(Event, "id", "work_item_id", "tx")
SNAPSHOT = columns(Snapshot, "id", "work_item_id")
LEASE = columns(Lease, "work_item_id", "row_version")
CLAIM = columns(ResourceClaim, "id", "work_item_id", "resource_id", "row_version")
ARTIFACT = [*columns(Artifact, "work_item_id", "blob_id", "row_version"), "sha256"]
SIGNAL = columns(Signal)
WAIT = columns(Wait, "row_version", "spawned")
WORKER = columns(Worker, "row_version")


def row(found: Model, names: list[str]) -> dict[str, Plain]:
    """Return these fields of a row."""
    return {name: plain(getattr(found, name)) for name in names}


def worker(view: WorkerView) -> dict[str, Plain]:
    """Return a worker with what is known of it now."""
    return {**row(view.worker, WORKER), "alive": view.alive, "beat_age": view.beat_age, "running": view.running}


def plain(value: Any) -> Plain:
    """Return the value as JSON holds it: ids and times as text, dataclasses as objects."""
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value
