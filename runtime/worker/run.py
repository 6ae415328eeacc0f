"""One claimed item while a process works on it."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from runtime import keeping
from runtime.choices import Reason
from runtime.engine import Engine, Item, takes
from runtime.journal.entries import Found, Write
from runtime.jsondata import loads
from runtime.offload import PREFIX, whole_text
from runtime.store.values import Claimed, Held
from runtime.usage import Tally
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
    in an async step. `made` tells of each key whether the call was made, not replayed, since the step last began;
    `used` is what it has used since. `losses` counts how often the next step lost its database session. `lost` is set
    (by any thread) when the item was taken away: whatever the step still does is refused.
    """

    __slots__ = (
        "asked",
        "attempt",
        "calling",
        "calls",
        "claimed",
        "counted",
        "counting",
        "data",
        "deadline",
        "engine",
        "in_flight",
        "initial",
        "item",
        "journal",
        "keeping",
        "label",
        "losses",
        "lost",
        "made",
        "moved",
        "progress",
        "schema",
        "since",
        "started",
        "steps_total",
        "task",
        "told",
        "used",
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
        self.label = claimed.step_label
        self.item = _item(claimed)
        self.moved = _is_reference(claimed.payload) or _is_reference(claimed.data)
        self.asked = claimed.answers is not None
        self.told: Told = told(claimed.answers)
        self.since = time.monotonic()
        self.deadline = _deadline(claimed, self.since)
        self.started = 0.0
        self.lost = False
        self.losses = 0
        self.progress: str | None = None
        self.task: Any = None
        self.calls: CallEvents | None = None
        self.used: Tally | None = None
        self.made: dict[str, bool] = {}
        self.counted: set[str] = set()
        self.counting: set[str] = set()
        self.calling: set[tuple[int, str]] = set()
        self.in_flight: set[asyncio.Task[Any]] = set()

    def begin(self) -> None:
        """Know that the next run of a step begins, whatever became of the one before.

        What that has used stays counted until an outcome is committed: where others undid its transaction, or its
        session was lost, it was spent all the same.
        """
        self.calls = None
        if self.counting:
            self.counted |= self.counting
            self.counting.clear()

    def forget_usage(self) -> None:
        """Begin to count anew: an outcome that tells what was used is committed."""
        self.used = None
        for calls in (self.made, self.counted, self.counting):
            calls.clear()

    def failed(self, error: BaseException) -> None:
        """Know what the step raised. What is stored says enough to a worker; a test wants the exception itself."""

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
    def now(self) -> dt.datetime:
        """The database's time, followed from the claim on."""
        return self.claimed.claimed_at + dt.timedelta(seconds=time.monotonic() - self.since)

    @property
    def is_overdue(self) -> bool:
        """Whether the item's deadline has passed by the database's clock, followed from the claim on."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    @property
    def over(self) -> Reason | None:
        """Why no other step may begin: the item's deadline has passed, or the time is up that it may take."""
        now = time.monotonic()
        if self.deadline is not None and now >= self.deadline:
            return Reason.DEADLINE
        left = self.claimed.timeout_left
        return None if left is None or now < self.since + left else Reason.TIMEOUT

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
