"""Make a copy of a run from the document that an export wrote. The copy is never due by itself."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import DataError, IntegrityError

from runtime import artifacts, clock, faults, offload
from runtime.artifacts import Prepared
from runtime.choices import TERMINAL, EventKind, Reason, State, WaitState
from runtime.conf import settings as roost
from runtime.exceptions import InvalidInput
from runtime.models import Artifact, Event, JournalEntry, PrunedHistory, Snapshot, Wait, WorkItem
from runtime.models.workitem import new_id
from runtime.operations import fields, import_values
from runtime.operations.base import actor_name, check_permission, clean_reason, require_reach
from runtime.operations.import_shapes import require_shapes
from runtime.operations.resources import normalise
from runtime.queries.export import FORMAT, FORMAT_VERSION, PARTS
from runtime.store import blobs, get_store
from runtime.store.children import IMPORTED
from runtime.store.history import next_event
from runtime.store.transactions import transacted
from runtime.store.waits import is_answered

RELATION = IMPORTED
BATCH = 500

_NOT_TAKEN = (
    *("id", "parent_id", "relation", "idempotency_key", "forked_from_id", "forked_version", "row_version", "event_seq"),
    *("asked", "pause_requested", "paused_from", "pause_at_step", "away_since", "timeout_at", "deadline_at", "limited"),
    *("legal_hold", "updated_at"),
)
_LARGEST = 2**53
_MOST_FAILURES = 1_000_000
"""Counts go on from where the document leaves them: whatever it says, they must not reach the end of their column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copy:
    """A run that was checked and is ready to be stored: its rows, and what is told of where it comes from."""

    item: WorkItem
    rows: dict[str, list[Any]]
    told: dict[str, Any]
    pruned: PrunedHistory | None


class ImportRun:
    """Store the run of a document as a new item, whole or not at all.

    A run that had ended is imported as ended; any other is paused, and `resume` lets it go on from its last snapshot
    with its recorded calls. It is nobody's child, holds nothing, and has no deadline and no idempotency key.
    Artifacts come with it where the document has their bytes. `document` is JSON text, or what such text means;
    `namespace` replaces the run's. `by` is a Django user whose permission is checked, or None for trusted code.
    """

    permission = "import_workitem"

    def __init__(
        self,
        document: Any,
        *,
        namespace: str | None = None,
        by: Any = None,
        actor: str = "",
        reason: str = "",
        using: str | None = None,
    ) -> None:
        self.document = document
        self.namespace = None if namespace is None else fields.name(namespace, "namespace")
        self.by = by
        self.actor = actor_name(by, actor)
        self.reason = clean_reason(reason)
        self.store = get_store(using)

    def execute(self) -> WorkItem:
        """Store the copy and return it. Raises `Forbidden`, `InvalidInput`, or `StorageUnavailable`."""
        return self.write(self.read())

    def read(self) -> Copy:
        """Check the document, keep the bytes of its artifacts, and return what `write` stores. Raises the same.

        Whoever has a transaction open does this before it.
        """
        check_permission(self.by, self.permission, "import runs")
        document = _opened(self.document)
        origin = _origin(document)
        item = self._item(document)
        require_reach(self.by, item.namespace)
        rows = {name: _rows(document, name, item) for name in PARTS}
        pruned = _pruned(document)
        _require_whole(item, rows["snapshots"], rows["events"], since=pruned.events_through if pruned else 0)
        _require_values(item, rows["snapshots"])
        for name in ("journal", "waits"):
            _require_once(rows[name], name)
        require_shapes(item, rows, redacted=document.get("redacted") is True)
        item.snapshots_dropped = item.version - sum(row.version > 0 for row in rows["snapshots"])
        rows["waits"] = [row for row in rows["waits"] if _is_taken(row, item)]
        item.asked = any(is_answered(row) for row in rows["waits"])
        files = [(version, prepared) for version, prepared in map(_file, _list(document, "artifacts")) if prepared]
        # Bytes come before the rows that need them; without those they are swept.
        rows["artifacts"] = [self._artifact(item, version, prepared) for version, prepared in files]
        left_out = len(_list(document, "artifacts")) - len(files)
        told = {"from": origin, **self._told(document, left_out)}
        return Copy(item=item, rows=rows, told=told, pruned=pruned)

    def write(self, copy: Copy) -> WorkItem:
        """Store what `read` returned, and return the item. One transaction; joins the caller's."""
        try:
            with faults.around("import"):
                transacted(self.store.using, lambda: self._write(copy))
        except (IntegrityError, DataError, OverflowError) as error:
            raise InvalidInput(
                "The document contradicts itself: its rows cannot be stored.", field="document"
            ) from error
        stored: WorkItem = WorkItem.objects.using(self.store.using).get(pk=copy.item.pk)
        return stored

    def _item(self, document: dict[str, Any]) -> WorkItem:
        values = import_values.row(WorkItem, document.get("item"), "item", without=_NOT_TAKEN)
        now = clock.now(self.store.using)
        item = WorkItem(**values, id=new_id(), relation=RELATION, updated_at=now)
        _require_usable(item)
        item.namespace = self.namespace or item.namespace
        item.resources = json.loads(normalise(item.resources))
        item.limited = bool(item.resources)
        if item.state in TERMINAL:
            item.finished_at = item.finished_at or now
            return item
        item.state, item.reason, item.paused_from = State.PAUSED, Reason.OPERATOR, State.QUEUED
        item.away_since, item.finished_at, item.run_at, item.epoch = now, None, now, item.epoch + 1
        return item

    def _artifact(self, item: WorkItem, version: int, prepared: Prepared) -> Artifact:
        kept = blobs.store(self.store.using, prepared)
        return Artifact(
            id=kept.id,
            work_item=item,
            version=version,
            name=kept.name,
            kind=kept.kind,
            content_type=kept.content_type,
            size=kept.size,
            blob_id=kept.sha256,
            metadata=json.loads(kept.metadata),
            created_at=clock.now(self.store.using),
        )

    def _told(self, document: dict[str, Any], left_out: int) -> dict[str, Any]:
        """Return what a replay of the copy has to know, and what the copy lacks."""
        told: dict[str, Any] = {"artifacts_left_out": left_out} if left_out else {}
        if document.get("redacted") is True:
            told["redacted"] = True
        before = document["item"].get("namespace")
        return told if self.namespace in (None, before) else {**told, "namespace": before}

    def _write(self, copy: Copy) -> None:
        using, item, rows, pruned = self.store.using, copy.item, copy.rows, copy.pruned
        now = clock.now(using)
        item.event_seq = len(rows["events"]) + (pruned.events_through if pruned else 0)
        last = next_event(item, EventKind.IMPORTED, now, actor=self.actor, reason=self.reason, data=copy.told)
        item.save(using=using, force_insert=True)
        for row in rows["waits"]:
            row.id = new_id()
        everything: tuple[tuple[type[Any], list[Any]], ...] = (
            (Snapshot, rows["snapshots"]),
            (Event, [*rows["events"], last]),
            (JournalEntry, rows["journal"]),
            (Wait, rows["waits"]),
            (Artifact, rows["artifacts"]),
        )
        for model, made in everything:
            model._default_manager.using(using).bulk_create(made, batch_size=BATCH)
        if pruned is not None:
            pruned.work_item_id = item.pk
            pruned.save(using=using, force_insert=True)


def import_run(document: Any, **options: Any) -> WorkItem:
    """Import the run and return the copy; see `ImportRun`. Raises `Forbidden` or `InvalidInput`."""
    return ImportRun(document, **options).execute()


def _is_taken(wait: Wait, item: WorkItem) -> bool:
    """Say whether a wait comes with the run.

    What no step has consumed, the step of a copy that goes on asks for anew. The answers that the last step of a run
    that has ended got do come: it is replayed with them, and has them when it is brought back.
    """
    if is_answered(wait):
        return bool(item.state in TERMINAL and wait.base_version == item.version)
    return wait.state not in (WaitState.OPEN, WaitState.EXPIRED)


def _origin(document: dict[str, Any]) -> str:
    """Return the id that the run had, to be told, whatever it is."""
    try:
        return str(uuid.UUID(document["item"]["id"]))
    except (KeyError, ValueError, TypeError, AttributeError):
        return ""


def _require_usable(item: WorkItem) -> None:
    """Raise `InvalidInput` for names and numbers that an enqueue would not take. Pure."""
    for name in ("namespace", "pool"):
        fields.name(getattr(item, name), f"item.{name}")
    for name, most in (("engine", 100), ("engine_version", 50), ("fair_key", 200)):
        if name == "engine" or getattr(item, name):
            fields.text(getattr(item, name), f"item.{name}", limit=most)
    for name in ("version", "steps_total", "epoch"):
        fields.whole(getattr(item, name), f"item.{name}", (0, _LARGEST))
    for name in ("attempt", "deaths"):
        fields.whole(getattr(item, name), f"item.{name}", (0, _MOST_FAILURES))
    fields.whole(item.max_attempts, "item.max_attempts", fields.INT)
    if item.max_steps is not None:
        fields.whole(item.max_steps, "item.max_steps", fields.BIGINT)
    for name in ("step_timeout", "item_timeout"):
        if getattr(item, name) is not None:
            fields.seconds(getattr(item, name), f"item.{name}", positive=True)


def _opened(document: Any) -> dict[str, Any]:
    """Return the document as an object of a format that is known. Raises `InvalidInput`."""
    try:
        if isinstance(document, str | bytes):
            _require_room(len(document), roost.MAX_EXPORT_BYTES)
            document = json.loads(document)
        else:
            _measure(document)
    except InvalidInput:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(f"The document is no JSON: {error}.", field="document") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidInput(f"The document is no exported run: its format is not {FORMAT!r}.", field="format")
    version = document.get("format_version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise InvalidInput(
            f"The document has format version {version!r:.40}; this code reads {FORMAT_VERSION}.",
            field="format_version",
        )
    return document


def _measure(document: Any) -> None:
    """Raise `InvalidInput` for values that would take too much room as text, before the rest of them is looked at.

    Raises `TypeError`, `ValueError` and `RecursionError` for what is no JSON.
    """
    size, most = 0, roost.MAX_EXPORT_BYTES
    for part in json.JSONEncoder().iterencode(document):
        size += len(part)
        _require_room(size, most)


def _require_room(size: int, most: int) -> None:
    if size > most:
        raise InvalidInput(f"The document takes {size} bytes; ROOST_MAX_EXPORT_BYTES allows {most}.", field="document")


def _list(document: dict[str, Any], name: str) -> list[Any]:
    found = document.get(name, [])
    if not isinstance(found, list):
        raise InvalidInput(f"{name} is a {type(found).__name__}; it must be an array.", field=name)
    return found


def _rows(document: dict[str, Any], name: str, item: WorkItem) -> list[Any]:
    model: Any = PARTS[name][0]
    without = PARTS[name][2]
    return [
        model(**import_values.row(model, given, f"{name}[{place}]", without=without), work_item=item)
        for place, given in enumerate(_list(document, name))
    ]


def _pruned(document: dict[str, Any]) -> PrunedHistory | None:
    """Return how far the history had been removed before it was exported, None if it was whole."""
    if "pruned" not in document:
        return None
    values = import_values.row(PrunedHistory, document["pruned"], "pruned", without=("work_item_id", "going_since"))
    made = PrunedHistory(**values)
    # The copy's events go on from there, and one whose next cannot be numbered keeps a worker from claiming any item.
    for name, least in (("events_through", 0), ("steps_through", -1), ("snapshots_through", 0)):
        fields.whole(getattr(made, name), f"pruned.{name}", (least, _LARGEST))
    return made


def _require_values(item: WorkItem, snapshots: list[Snapshot]) -> None:
    """Raise `InvalidInput` for a reference to this storage, which a document has no right to."""
    given = [("item.payload", item.payload), ("item.result", item.result)]
    given += [(f"snapshots[{place}].data", one.data) for place, one in enumerate(snapshots)]
    for name, value in given:
        if offload.in_value(value) is not None:
            raise InvalidInput(f"{name} is a reference to an artifact storage. Export the run again.", field=name)


def _require_whole(item: WorkItem, snapshots: list[Snapshot], events: list[Event], *, since: int) -> None:
    """Raise `InvalidInput` unless the history has no gap and the item's state is there."""
    if [event.seq for event in events] != list(range(since + 1, since + len(events) + 1)):
        first = f"{since + 1}, {since + 2}, {since + 3}"
        raise InvalidInput(f"The events are not numbered {first} … without a gap.", field="events")
    versions = [snapshot.version for snapshot in snapshots]
    if len(set(versions)) != len(versions) or not all(0 <= version <= item.version for version in versions):
        raise InvalidInput(f"The snapshots are not those of versions 0 to {item.version}.", field="snapshots")
    if item.version and item.version not in versions:
        raise InvalidInput(f"The snapshot of the item's version {item.version} is missing.", field="snapshots")


def _require_once(rows: list[Any], part: str) -> None:
    """Raise `InvalidInput` for a call, or a wait, that one step has twice."""
    known: set[tuple[int, str]] = set()
    for place, row in enumerate(rows):
        if (row.base_version, row.key) in known:
            raise InvalidInput(
                f"{part} has {row.key!r} of version {row.base_version} twice.", field=f"{part}[{place}].key"
            )
        known.add((row.base_version, row.key))


def _file(given: Any) -> tuple[int, Prepared | None]:
    """Return an artifact's version and its checked content, None where the document does not have it."""
    without = ("id", "work_item_id", "row_version", "blob_id", "size", "created_at")
    values = import_values.row(Artifact, given, "artifacts[]", without=without)
    fields.whole(values["version"], "artifacts[].version", (0, _LARGEST))
    if not isinstance(values.get("metadata") or {}, dict):
        raise InvalidInput("artifacts[].metadata is no object.", field="artifacts[].metadata")
    if "content" not in given:
        return values["version"], None
    try:
        content = base64.b64decode(given["content"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise InvalidInput(f"The content of artifact {values['name']!r} is no base64.", field="artifacts") from None
    described = {name: values.get(name) or "" for name in ("kind", "content_type")}
    prepared = artifacts.prepare(values["name"], content, **described, metadata=values.get("metadata"))
    if prepared.sha256 != given.get("sha256"):
        raise InvalidInput(f"The content of artifact {values['name']!r} has another sha256.", field="artifacts")
    return values["version"], prepared
