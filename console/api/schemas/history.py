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


class StoryOut(Schema):
    """A run in sentences, one page of its steps."""

    item: uuid.UUID
    now: str
    text: list[str]
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


class WaitPage(Schema):
    """Waits, newest first."""

    waits: list[WaitOut]
    next: str | None
