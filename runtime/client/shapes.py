"""What the API tells, as values. Fields that a newer API adds are left out; one that it lacks is an error.

What was added to a shape has a default: servers from before do not tell it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemHead:
    """A work item as lists tell it: without what products and agents put in."""

    id: uuid.UUID
    namespace: str
    engine: str
    engine_version: str
    pool: str
    priority: int
    fair_key: str
    resources: list[Any]
    state: str
    reason: str
    paused_from: str
    pause_requested: bool
    step_label: str
    run_at: dt.datetime
    deadline_at: dt.datetime | None
    timeout_at: dt.datetime | None
    attempt: int
    max_attempts: int
    deaths: int
    max_steps: int | None
    step_timeout: float | None
    item_timeout: float | None
    parent_id: uuid.UUID | None
    relation: str
    forked_from_id: uuid.UUID | None
    forked_version: int | None
    idempotency_key: str | None
    fingerprint: str
    acknowledged_at: dt.datetime | None
    acknowledged_by: str
    legal_hold: bool
    version: int
    epoch: int
    row_version: int
    event_seq: int
    steps_total: int
    duration_total: float
    away_total: float
    tokens_total: int
    cost_total: int
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    updated_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a step is, from 0 to 1 where it knows, and what it says of it."""

    fraction: float | None
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Item(ItemHead):
    """A work item. `progress` is what the step that runs now has said.

    `readable` false says that the token may not read payload, config, result, last error and progress.
    """

    payload: Any
    config: Any
    result: Any
    last_error: Any
    readable: bool
    progress: Progress | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterError:
    """What a dead letter failed of, in short."""

    type: str
    code: str
    category: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter(ItemHead):
    """A dead letter. `error` takes the scope `payload`; `worker` made the last attempt, None if there was none."""

    error: LetterError | None = None
    worker: uuid.UUID | None = None
    worker_name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Enqueued:
    """An item of a bulk: the id that stands for it, and whether it is new."""

    id: uuid.UUID
    created: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class EnqueuedItems:
    """The items of a bulk, in the order in which they were given."""

    items: tuple[Enqueued, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of an item; `ended` false says that nothing has yet."""

    id: uuid.UUID
    state: str
    reason: str
    ended: bool
    result: Any
    error: Any
    version: int
    finished_at: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalSent:
    """The signal that is kept."""

    id: uuid.UUID


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event of an item's history; `data` is null without the scope `payload`."""

    seq: int
    kind: str
    version: int
    epoch: int
    attempt: int
    worker: uuid.UUID | None
    actor: str
    reason: str
    data: Any
    duration: float | None
    created_at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """What an item waits for. Details are null without the scope `payload`."""

    id: uuid.UUID
    item: uuid.UUID
    namespace: str
    engine: str
    key: str
    kind: str
    state: str
    prompt: str
    signal_name: str
    quorum: int
    votes: int
    has_default: bool
    expires_at: dt.datetime | None
    created_at: dt.datetime
    resolved_at: dt.datetime | None
    resolved_by: str
    answer_schema: Any
    data: Any
    default: Any
    resolution: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """A signal; `item` is whom it is for, None for whoever waits for its name. `payload` takes the scope `payload`."""

    id: uuid.UUID
    namespace: str
    name: str
    item: uuid.UUID | None
    payload: Any
    delivery_id: str | None
    actor: str
    created_at: dt.datetime
    taken_by: uuid.UUID | None
    consumed_version: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedItem:
    """An item that a call about many left as it is, and why."""

    id: uuid.UUID
    code: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Treated:
    """What became of each dead letter; `more` says that others match: ask again."""

    moved: tuple[uuid.UUID, ...]
    refused: tuple[RefusedItem, ...]
    more: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Rows of a list, and the cursor of the page that follows, None on the last one."""

    rows: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """An event of a stream.

    `cursor` goes on from here in another stream (`last_event_id`), which may tell this event again: it is known by
    `item` and `seq`.
    """

    item: uuid.UUID
    namespace: str
    engine: str
    seq: int
    kind: str
    version: int
    actor: str
    at: dt.datetime
    cursor: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reset:
    """The stream cannot say what was missed: read afresh what you show. It goes on from `cursor`."""

    kind: ClassVar[str] = "reset"

    cursor: str = ""
