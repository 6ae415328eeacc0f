"""One claimed item while a process works on it."""

from __future__ import annotations

import asyncio
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from runtime import keeping
from runtime.engine import Engine, Item, takes
from runtime.journal.entries import Found, Write
from runtime.jsondata import loads
from runtime.offload import PREFIX, whole_text
from runtime.store.values import Claimed, Held
from runtime.worker.asking import NOTHING, Told, told

if TYPE_CHECKING:
    from runtime.worker.calls import CallEvents

_wants_context: dict[Engine, bool] = {}
_is_async: dict[Engine, bool] = {}


class Recorder(Protocol):
    """What writes the journal for a step."""

    def write(self, write: Write) -> Found:
        """Wait until the write is durable, and say what became of it."""

    async def awrite(self, write: Write) -> Found:
        """Do what `write()` does without blocking the event loop."""

    def rolled_back(self, held: Held) -> None:
        """Know that the transaction of an item's atomic step was undone."""

    @property
    def own_thread(self) -> bool:
        """Whether steps share the thread, and the connection, that the journal is written on."""


class Run:
    """An item that this process owns: where it stands, and what is known of the step being made.

    `version`, `attempt`, `steps_total` and `data` follow each committed step. `moved` says that the payload or the
    state came as a reference to the artifact storage, which is still to be read. `asked` says that the item has waits
    which no step has consumed, `told` what is known of them. `keeping` says which snapshots stay. `calls` are the
    events of the step's recorded calls, `calling` the keys of those being made, `in_flight` the tasks that make them
    in an async step. `lost` is set (by any thread) when the item was taken away: whatever the step still does is
    refused.
    """

    __slots__ = (
        "asked",
        "attempt",
        "calling",
        "calls",
        "claimed",
        "data",
        "deadline",
        "engine",
        "in_flight",
        "initial",
        "item",
        "journal",
        "keeping",
        "lost",
        "moved",
        "progress",
        "schema",
        "since",
        "started",
        "steps_total",
        "task",
        "told",
        "version",
    )

    def __init__(self, claimed: Claimed, engine: Engine, journal: Recorder | None = None) -> None:
        self.claimed = claimed
        self.engine = engine
        self.keeping = keeping.of(claimed.engine, engine.snapshots)
        self.journal = journal
        self.version = claimed.version
        self.attempt = claimed.attempt
        self.steps_total = claimed.steps_total
        self.data: str | None = claimed.data
        self.schema = engine.state_schema if claimed.state_schema is None else claimed.state_schema
        self.initial: str | None = None
        self.item = _item(claimed)
        self.moved = _is_reference(claimed.payload) or _is_reference(claimed.data)
        self.asked = claimed.answers is not None
        self.told: Told = told(claimed.answers)
        self.since = time.monotonic()
        self.deadline = _deadline(claimed, self.since)
        self.started = 0.0
        self.lost = False
        self.progress: str | None = None
        self.task: Any = None
        self.calls: CallEvents | None = None
        self.calling: set[tuple[int, str]] = set()
        self.in_flight: set[asyncio.Task[Any]] = set()

    def fetch(self) -> None:
        """Read what was moved to the artifact storage, so that the step sees it as it was.

        Raises `CorruptArtifact` or `StorageUnavailable`; then nothing is changed, and the next attempt reads again.
        """
        payload, data = self.claimed.payload, self.data
        if data is not None:
            data = whole_text(data, f"state of work item {self.id} at version {self.version}")
        if payload is not None and _is_reference(payload):
            self.item = replace(self.item, payload=loads(whole_text(payload, f"payload of work item {self.id}")))
        self.data, self.moved = data, False

    def forget_answers(self) -> None:
        """Go on without what was asked for from an earlier snapshot: the commit consumed it."""
        self.asked, self.told = False, NOTHING

    @property
    def id(self) -> uuid.UUID:
        """The item's id."""
        return self.claimed.id

    @property
    def held(self) -> Held:
        """The lease this run believes to have."""
        return Held(self.claimed.id, self.claimed.epoch)

    @property
    def is_overdue(self) -> bool:
        """Whether the item's deadline has passed by the database's clock, followed from the claim on."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def is_async(self) -> bool:
        """Whether its steps run in the async lane."""
        engine = self.engine
        found = _is_async.get(engine)
        if found is None:
            found = _is_async[engine] = engine.is_async
        return found

    @property
    def wants_context(self) -> bool:
        """Whether the engine's step takes a third argument."""
        engine = self.engine
        wants = _wants_context.get(engine)
        if wants is None:
            wants = _wants_context[engine] = takes(engine.step, 3)
        return wants


def _is_reference(text: str | None) -> bool:
    return text is not None and text.startswith(PREFIX)


def _deadline(claimed: Claimed, now: float) -> float | None:
    """Return the deadline in this process's monotonic seconds."""
    if claimed.deadline_at is None:
        return None
    return now + (claimed.deadline_at - claimed.claimed_at).total_seconds()


def _item(claimed: Claimed) -> Item:
    return Item(
        id=claimed.id,
        namespace=claimed.namespace,
        engine=claimed.engine,
        engine_version=claimed.engine_version,
        payload=None if claimed.payload is None else loads(claimed.payload),
        config=None if claimed.config is None else loads(claimed.config),
        priority=claimed.priority,
        resources=loads(claimed.resources),
        step_label=claimed.step_label,
        parent_id=claimed.parent_id,
        created_at=claimed.created_at,
        deadline_at=claimed.deadline_at,
    )
