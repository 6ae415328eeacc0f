"""What happened to an item, and what belongs to it."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from ninja import Schema


class EventOut(Schema):
    """One event of an item's history; `data` is null without the permission roost.view_payload."""

    seq: int
    kind: str
    version: int
    epoch: int
    attempt: int
    worker: uuid.UUID | None
    actor: str
    reason: str
    data: Any = None
    duration: float | None
    created_at: dt.datetime


class EventPage(Schema):
    """Events, oldest first. `next` is good for asking again later, also when there are no `more` now."""

    events: list[EventOut]
    next: str
    more: bool


class SnapshotOut(Schema):
    """The state after a step; null without the permission roost.view_payload."""

    version: int
    epoch: int
    label: str
    data: Any = None
    state_schema: int
    restored_from: int | None
    created_at: dt.datetime


class SnapshotPage(Schema):
    """Snapshots, oldest first."""

    snapshots: list[SnapshotOut]
    next: str | None


class CallOut(Schema):
    """A recorded call; `in_doubt` says that nobody knows whether it happened."""

    key: str
    name: str
    base_version: int
    state: str
    attempts: int
    idempotency_key: str
    result: Any = None
    error: Any = None
    started_at: dt.datetime
    ended_at: dt.datetime | None
    in_doubt: bool


class CallPage(Schema):
    """Recorded calls, oldest first."""

    calls: list[CallOut]
    next: str | None


class ArtifactOut(Schema):
    """A file of an item: what it is, not its bytes."""

    id: uuid.UUID
    name: str
    version: int
    kind: str
    content_type: str
    size: int
    sha256: str
    metadata: Any = None
    created_at: dt.datetime


class ArtifactPage(Schema):
    """Files, oldest first."""

    artifacts: list[ArtifactOut]
    next: str | None


class LinkOut(Schema):
    """An address that opens one file to whoever has it, until it expires."""

    url: str
    expires_at: dt.datetime


class AttemptOut(Schema):
    """One try of one step."""

    seq: int
    step: int
    number: int
    outcome: str
    reason: str
    worker: uuid.UUID | None
    worker_name: str
    ended_at: dt.datetime
    duration: float | None
    tokens: int
    cost: int
    error: Any = None


class AttemptPage(Schema):
    """Tries, oldest first."""

    attempts: list[AttemptOut]
    next: str | None


class CauseOut(Schema):
    """One reason why an item is where it is."""

    code: str
    text: str
    data: dict[str, Any]


class WhyOut(Schema):
    """Why an item is where it is, the most decisive cause first."""

    item: uuid.UUID
    state: str
    at: dt.datetime
    text: str
    causes: list[CauseOut]


class HappeningOut(Schema):
    """Something that came from outside a step, or a failure; `data` is the event's."""

    seq: int
    at: dt.datetime
    kind: str
    actor: str
    reason: str
    data: Any = None


class ToldCall(Schema):
    """A recorded call of a step, in short."""

    id: int
    key: str
    name: str
    state: str
    attempts: int
    in_doubt: bool


class ToldAsk(Schema):
    """What a step waited for, and what came of it."""

    id: uuid.UUID
    key: str
    kind: str
    state: str
    prompt: str
    by: str


class ToldFile(Schema):
    """A file of a step, in short."""

    id: uuid.UUID
    name: str
    kind: str
    size: int


class ToldStep(Schema):
    """What happened until a step was committed, and what belongs to it; `committed_at` null: not yet, or never.

    Lists hold the first 20: `untold` happenings follow, and `more` counts the rest of calls, asks and files. `counts`
    tells how many there were of what a step makes, `taken_over_from` names the worker that had the item before.
    """

    step: int
    label: str
    began_at: dt.datetime | None
    committed_at: dt.datetime | None
    duration: float | None
    attempts: int
    failures: int
    workers: list[str]
    taken_over_from: str
    happenings: list[HappeningOut]
    untold: int
    counts: dict[str, int]
    calls: list[ToldCall]
    asks: list[ToldAsk]
    files: list[ToldFile]
    more: dict[str, int]
    first_seq: int
    last_seq: int


class StoryOut(Schema):
    """A run in sentences and step by step, one page of its steps.

    `children` by state, and `whole_run_calls`, recorded once for the whole run, are on the first page.
    """

    item: uuid.UUID
    now: str
    text: list[str]
    enqueued_by: str
    enqueued_because: str
    children: dict[str, int]
    whole_run_calls: list[ToldCall]
    steps: list[ToldStep]
    next: str | None


class ProblemFound(Schema):
    """Something that must hold and does not."""

    item: uuid.UUID | None
    code: str
    text: str


class Verified(Schema):
    """What was found wrong; nothing, if all is well."""

    problems: list[ProblemFound]


class WaitOut(Schema):
    """What an item waits for. Details are null without the permission roost.view_payload."""

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
    answer_schema: Any = None
    data: Any = None
    default: Any = None
    resolution: Any = None


class SignalOut(Schema):
    """A signal; `item` is whom it is for, null for whoever waits for its name.

    `payload` is null without the permission roost.view_payload.
    """

    id: uuid.UUID
    namespace: str
    name: str
    item: uuid.UUID | None
    payload: Any = None
    delivery_id: str | None
    actor: str
    created_at: dt.datetime
    taken_by: uuid.UUID | None
    consumed_version: int | None


class SignalPage(Schema):
    """Signals, newest first."""

    signals: list[SignalOut]
    next: str | None


class WaitPage(Schema):
    """Waits, newest first."""

    waits: list[WaitOut]
    next: str | None
