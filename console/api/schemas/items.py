"""Work items: what is asked for, and what is told of them."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from ninja import Schema
from pydantic import Field

from console.api.schemas.kinds import Asked, Moment, Seconds, Whole, example


class NewItem(Asked):
    """An item to enqueue. What is left out has the default of its engine or of the settings."""

    model_config = example(engine="counter", payload={"count_to": 3}, priority=5)

    engine: str
    payload: Any = None
    namespace: str | None = Field(None, description="The token's only one, or the default one, if left out.")
    idempotency_key: str | None = Field(None, description="The same as the header Idempotency-Key.")
    delay: Seconds | None = Field(None, description="Seconds until it is due.")
    run_at: Moment | None = Field(None, description="When it is due, in place of delay.")
    priority: Whole | None = Field(None, description="Higher is sooner.")
    deadline: Moment | Seconds | None = Field(None, description="When it fails unless it is done; or seconds from now.")
    resources: list[str | dict[str, Any]] | None = None
    fair_key: str | None = None
    pool: str | None = None
    parent: uuid.UUID | None = Field(None, description="The item whose child it is; it lives in that one's namespace.")
    relation: str | None = None
    max_attempts: Whole | None = None
    max_steps: Whole | None = None
    pause_after: Whole | None = None
    step_timeout: Seconds | None = None
    item_timeout: Seconds | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The options of the operation; null is the same as nothing."""
        said = {name: value for name, value in self.given.items() if value is not None}
        said.pop("engine")
        said.pop("payload", None)
        if isinstance(said.get("deadline"), int | float):
            said["deadline"] = dt.timedelta(seconds=said["deadline"])
        return said


class NewItems(Asked):
    """Items to enqueue: all of them, or none."""

    model_config = example(items=[{"engine": "counter", "payload": {"count_to": 3}}])

    items: list[NewItem]


class Enqueued(Schema):
    """An item of a bulk: the id that stands for it, and whether it is new."""

    id: uuid.UUID
    created: bool


class EnqueuedItems(Schema):
    """The items of a bulk, in the order of the request."""

    items: list[Enqueued]


class ItemHead(Schema):
    """A work item without what products and agents put in."""

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


class Progress(Schema):
    """How far a step is, from 0 to 1 where it knows, and what it says of it."""

    fraction: float | None
    note: str


class Item(ItemHead):
    """A work item.

    Without the permission roost.view_payload, `payload`, `config`, `result`, `last_error` and `progress` are null and
    `readable` is false. A large value is a reference; `/value/…` gives it whole. `progress` is what the step that runs
    now has said, null where none runs or it has said nothing.
    """

    payload: Any = None
    config: Any = None
    result: Any = None
    last_error: Any = None
    progress: Progress | None = None
    readable: bool = True


class ItemPage(Schema):
    """A page of items, newest first; `next` is null on the last one."""

    items: list[ItemHead]
    next: str | None


class LetterError(Schema):
    """What a dead letter failed of, in short; its item has the traceback."""

    type: str
    code: str
    category: str
    message: str


class LetterOut(ItemHead):
    """A dead letter with its error and the worker of its last attempt.

    `error` is null without the permission roost.view_payload, the worker without roost.view_event.
    """

    error: LetterError | None
    worker: uuid.UUID | None
    worker_name: str


class LetterPage(Schema):
    """A page of dead letters, newest first; `next` is null on the last one."""

    items: list[LetterOut]
    next: str | None


class Outcome(Schema):
    """What came of an item; `ended` false says that nothing has yet."""

    id: uuid.UUID
    state: str
    reason: str
    ended: bool
    result: Any = None
    error: Any = None
    version: int
    finished_at: dt.datetime | None


class ValueOut(Schema):
    """A value of an item, whole; `version` is a state's."""

    place: str
    version: int | None
    value: Any = None


class ItemFilters(Schema):
    """Which items; what is left out does not narrow."""

    state: list[str] = Field([], max_length=7, description="May be given several times.")
    reason: str = Field("", max_length=100)
    engine: str = Field("", max_length=100)
    namespace: str = Field("", max_length=100)
    key: str = Field("", max_length=200, description="Its whole idempotency key.")
    fingerprint: str = Field("", max_length=64)
    parent: uuid.UUID | None = None
