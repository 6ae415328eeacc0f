"""Write a run down as one JSON document, to be kept, shown to others, or imported elsewhere.

    {"format": "roost-run", "format_version": 1, "exported_at": …, "redacted": …,
     "item": {…}, "snapshots": […], "events": […], "journal": […], "waits": […], "artifacts": […],
     "pruned": {…}}

Keys are the models' names; ids and times are text, bytes of artifacts base64. `pruned` is there where the beginning of
the history has been removed. `runtime.operations.import_run` reads it.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import uuid
from collections.abc import Callable, Collection
from contextlib import closing
from functools import partial
from typing import Any

from django.db.models import JSONField, Model, QuerySet

from runtime import clock, offload
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput, NotFound, TooLarge
from runtime.models import Artifact, Event, JournalEntry, PrunedHistory, Snapshot, Wait, WorkItem
from runtime.queries.redaction import redacted
from runtime.queries.verify import one_moment
from runtime.store import work_database
from runtime.store.blobs import read_artifact
from runtime.store.going import is_going

FORMAT, FORMAT_VERSION = "roost-run", 1

_OWN = ("id", "work_item_id")
PARTS: dict[str, tuple[type[Model], str, tuple[str, ...]]] = {
    "snapshots": (Snapshot, "version", _OWN),
    "events": (Event, "seq", (*_OWN, "tx")),
    "journal": (JournalEntry, "id", _OWN),
    "waits": (Wait, "id", (*_OWN, "row_version")),
}
"""What belongs to an item: the model, its order, and the columns that mean nothing elsewhere."""

MOVABLE: frozenset[tuple[type[Model], str]] = frozenset(
    {(WorkItem, "payload"), (WorkItem, "result"), (Snapshot, "data")}
)
"""The columns that may hold a reference to the artifact storage; elsewhere what looks like one is plain data."""


def columns(model: type[Model], without: Collection[str]) -> list[Any]:
    """Return the columns of a model that a document has."""
    return [field for field in model._meta.concrete_fields if field.attname not in without]


Mask = Callable[[Any], Any]

ROUTING = frozenset({"resources", "spawned"})
"""JSON columns that hold no contents; a run cannot do without them."""


def export(
    item: uuid.UUID,
    *,
    redact: bool = False,
    mask: Mask = redacted,
    with_artifacts: bool = False,
    most: int | None = None,
    using: str | None = None,
) -> dict[str, Any]:
    """Return the run as one document of plain values, everything read at one moment.

    `redact` takes out what looks like a secret (see `runtime.queries.redaction`); `mask` is what it does to contents.
    `with_artifacts` adds the bytes of artifacts, which cannot be redacted. Raises `NotFound`, `TooLarge` for more than
    `most` bytes or `ROOST_MAX_EXPORT_BYTES`, and `StorageUnavailable` or `CorruptArtifact`.
    """
    if redact and with_artifacts:
        raise InvalidInput("The bytes of artifacts cannot be redacted: leave one of the two out.", field="redact")
    using = using or work_database()
    with one_moment(using):
        document = _read(item, using, _Room(_most(most)), with_artifacts=with_artifacts)
    return {**document, "redacted": redact, **(_redacted(document, mask) if redact else {})}


def text_of(document: dict[str, Any], *, most: int | None = None) -> str:
    """Return the document as it is kept: JSON, ASCII alone. Raises `TooLarge`."""
    text = json.dumps(document)
    if len(text) > _most(most):
        raise _too_large(len(text), _most(most))
    return text


def _most(most: int | None) -> int:
    allowed: int = roost.MAX_EXPORT_BYTES
    return allowed if most is None else min(most, allowed)


def _too_large(size: int, most: int) -> TooLarge:
    limit = "ROOST_MAX_EXPORT_BYTES allows" if most == roost.MAX_EXPORT_BYTES else "here it may have"
    return TooLarge(f"The run takes {size} bytes; {limit} {most}.", field="item")


def _read(pk: uuid.UUID, using: str, room: _Room, *, with_artifacts: bool) -> dict[str, Any]:
    item = WorkItem.objects.using(using).filter(pk=pk).first()
    if item is None:
        raise NotFound(f"There is no work item {pk}.")
    if is_going(pk, using=using):
        raise NotFound(f"Work item {pk} was kept for as long as it had to be, and is being removed now.")
    found: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "exported_at": clock.now(using).isoformat(),
        "item": room.row(item, columns(WorkItem, ())),
    }
    for name, (model, order, without) in PARTS.items():
        rows: QuerySet[Any] = model._default_manager.using(using).filter(work_item=pk).order_by(order)
        fields = columns(model, without)
        found[name] = _each(rows, partial(room.row, fields=fields))
    files = Artifact.objects.using(using).filter(work_item=pk).select_related("blob").order_by("id")
    if pruned := PrunedHistory.objects.using(using).filter(pk=pk).first():
        found["pruned"] = room.row(pruned, columns(PrunedHistory, ("work_item_id", "going_since")))
    found["artifacts"] = _each(files, partial(room.file, with_bytes=with_artifacts))
    return found


def _each(rows: QuerySet[Any], told: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is told of each row; one refused, the cursor on the server is closed before its transaction ends."""
    found: Any = rows.iterator(chunk_size=200)
    with closing(found):
        return [told(row) for row in found]


class _Room:
    """Counts what a document takes, so that one too large is given up before it fills the memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0

    def row(self, row: Model, fields: list[Any]) -> dict[str, Any]:
        """Return a row as plain values. Raises `TooLarge` when there is no more room."""
        values = {field.attname: _plain(_whole(row, field.attname)) for field in fields}
        self._take(len(json.dumps(values)))
        return values

    def file(self, file: Artifact, *, with_bytes: bool) -> dict[str, Any]:
        """Return an artifact, with its bytes if that is wished and there is room for them."""
        values = self.row(file, columns(Artifact, ("id", "work_item_id", "row_version", "blob_id")))
        values["sha256"] = file.sha256
        if with_bytes:
            self._take(file.size * 4 // 3)
            content = read_artifact(file)
            values["content"] = base64.b64encode(content).decode("ascii")
        return values

    def _take(self, size: int) -> None:
        self._taken += size
        if self._taken > self._most:
            raise _too_large(self._taken, self._most)


def _whole(row: Model, name: str) -> Any:
    """Return a column's value; what was moved to the artifact storage stands in the document as it was."""
    value = getattr(row, name)
    if (type(row), name) not in MOVABLE:
        return value
    return offload.whole(value, f"{name} of work item {getattr(row, 'work_item_id', row.pk)}")


def _plain(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return str(value)
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _redacted(document: dict[str, Any], mask: Mask) -> dict[str, Any]:
    """Return the parts of the document with their JSON and text columns redacted; columns have names of their own.

    `mask` is for contents: what it makes of the name of a state or an engine would be another one.
    """
    names = {field.attname for model in _models() for field in columns(model, ()) if _is_json(field)}

    def row(values: dict[str, Any]) -> dict[str, Any]:
        return {name: clean(name, value) for name, value in values.items()}

    def clean(name: str, value: Any) -> Any:
        if name in names:
            return redacted(value) if name in ROUTING else mask(value)
        return redacted(value)[: len(value)] if isinstance(value, str) else value

    parts = {name: [row(values) for values in document[name]] for name in (*PARTS, "artifacts")}
    return {"item": row(document["item"]), **parts}


def _models() -> list[type[Model]]:
    return [WorkItem, Artifact, *(model for model, _order, _without in PARTS.values())]


def _is_json(field: Any) -> bool:
    return isinstance(field, JSONField)
