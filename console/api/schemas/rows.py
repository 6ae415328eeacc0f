"""Dead letters, engines, workers and what is configured."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from ninja import Schema
from pydantic import Field

from console.api.schemas.kinds import Asked, Flag, Moment, Seconds, Switch, Whole, example


class LetterFilters(Schema):
    """Which dead letters; what is left out does not narrow."""

    namespace: str = Field("", max_length=100)
    engine: str = Field("", max_length=100)
    reason: str = Field("", max_length=100)
    fingerprint: str = Field("", max_length=64)
    category: str = Field("", max_length=20)
    acknowledged: Switch | None = Field(False, description="Those that were acknowledged; others if left out.")


class LetterGroup(Schema):
    """Dead letters that failed in the same way; `message` is one of theirs, empty without roost.view_payload."""

    namespace: str
    engine: str
    reason: str
    fingerprint: str
    message: str
    count: int
    first: dt.datetime | None
    last: dt.datetime | None


class LetterGroups(Schema):
    """Groups, the largest first."""

    groups: list[LetterGroup]
    more: bool


class EngineOut(Schema):
    """An engine that is registered; `loads` says whether it can run here."""

    name: str
    loads: bool
    version: str
    lane: str
    state_schema: int
    payload_schema: dict[str, Any] | None


class Engines(Schema):
    """Engines by name."""

    engines: list[EngineOut]


class WorkerOut(Schema):
    """A worker process, and what is known of it now."""

    id: uuid.UUID
    host: str
    pid: int
    state: str
    desired_state: str
    engines: list[str]
    pools: list[str]
    versions: dict[str, str]
    capacity: int
    running: int
    alive: bool
    beat_age: float
    started_at: dt.datetime


class Workers(Schema):
    """Workers, newest first."""

    workers: list[WorkerOut]
    next: str | None


class ClaimOut(Schema):
    """An item that holds, or wants, a resource."""

    item: uuid.UUID
    engine: str
    state: str
    mode: str
    units: int
    scope: str
    since: dt.datetime
    worker: uuid.UUID | None
    worker_name: str


class ResourceOut(Schema):
    """A resource with its holders and its waiters, in the order they came."""

    namespace: str
    key: str
    capacity: int
    holders: list[ClaimOut]
    waiters: list[ClaimOut]


class ResourcePage(Schema):
    """Resources by key."""

    resources: list[ResourceOut]
    next: str | None


class CapacityIn(Asked):
    """Units that may be held at once."""

    capacity: Whole


class CapacityOut(Schema):
    """A resource and its room."""

    namespace: str
    key: str
    capacity: int


class LimitIn(Asked):
    """A limit; what is left out stays as it is, or has its default."""

    model_config = example(engine="counter", concurrency=5)

    namespace: str = ""
    engine: str = ""
    fair_key: str = ""
    pool: str = ""
    concurrency: Whole | None = None
    rate: Whole | None = None
    per_seconds: Seconds = 1.0
    burst: Whole | None = None
    enabled: Flag = True
    note: str = ""


class LimitOut(Schema):
    """A limit and what runs under it; null while it is disabled."""

    name: str
    namespace: str
    engine: str
    fair_key: str
    pool: str
    concurrency: int | None
    rate: int | None
    per_seconds: float
    burst: int | None
    enabled: bool
    note: str
    running: int | None = None
    steps_allowed_now: float | None = None


class Limits(Schema):
    """Limits by name."""

    limits: list[LimitOut]
    next: str | None


class ScheduleIn(Asked):
    """A schedule; what is left out stays as it is, or has its default. One of cron, every and at says when."""

    model_config = example(engine="counter", payload={"count_to": 3}, cron="30 2 * * *", timezone="Europe/Berlin")

    engine: str = ""
    payload: Any = None
    options: dict[str, Any] = {}
    cron: str | None = None
    timezone: str = "UTC"
    every: Seconds | None = None
    start_at: Moment | None = None
    at: Moment | None = None
    catch_up: str = "one"
    time_field: str = ""
    enabled: Flag = True
    note: str = ""


class ScheduleOut(Schema):
    """A schedule and what it does next; `payload` is null without the permission roost.view_payload."""

    namespace: str
    name: str
    engine: str
    payload: Any = None
    options: dict[str, Any]
    kind: str
    cron: str
    timezone: str
    every: float | None
    anchor: dt.datetime | None
    catch_up: str
    time_field: str
    enabled: bool
    note: str
    last_run: dt.datetime | None
    row_version: int
    times: str
    next_runs: list[dt.datetime]
    trouble: str


class Schedules(Schema):
    """Schedules by namespace and name."""

    schedules: list[ScheduleOut]
    next: str | None


class TriggerIn(Asked):
    """A trigger; what is left out stays as it is, or has its default."""

    model_config = example(engine="refund", target="counter", payload={"count_to": 3})

    namespace: str = ""
    engine: str = ""
    on: str = "done"
    condition: str = ""
    target: str = ""
    payload: Any = None
    options: dict[str, Any] = {}
    enabled: Flag = True
    note: str = ""


class TriggerOut(Schema):
    """A trigger; `source` says whether it is a row or stands in the settings.

    `payload` is null without the permission roost.view_payload.
    """

    name: str
    namespace: str
    engine: str
    on: str
    condition: str
    target: str
    payload: Any = None
    options: dict[str, Any]
    enabled: bool
    source: str


class Triggers(Schema):
    """Triggers by name."""

    triggers: list[TriggerOut]
    next: str | None


class FindingOut(Schema):
    """What one check found: ok, warning or problem, and what to do about it."""

    check: str
    level: str
    text: str
    hint: str


class Examined(Schema):
    """What was looked at, in order; `level` is the worst that was found."""

    level: str
    findings: list[FindingOut]


class FleetOut(Schema):
    """Items in flight that need the same code; `objection` is empty when the code of this process goes on with them.

    `held` of the `items` are held already, and `example` is one that is or would be.
    """

    engine: str
    engine_version: str
    state_schema: int | None
    items: int
    held: int
    objection: str
    text: str
    example: uuid.UUID | None


class Preflight(Schema):
    """How many items the code of this process would hold, and all that are in flight by the code they need."""

    stranded: int
    groups: list[FleetOut]


class Count(Schema):
    """How many items are in a state: exact, about, or at least that many."""

    state: str
    count: int
    kind: str


class Stats(Schema):
    """Items by state, in a namespace or in all."""

    namespace: str
    states: list[Count]
