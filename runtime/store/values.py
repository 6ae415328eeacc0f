"""What goes into the store and comes out of it: plain values, JSON still as text. `store.base` is the contract."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.choices import State
from runtime.store.front import Front
from runtime.store.turns import Lane

if TYPE_CHECKING:
    from runtime.store.limits import Bound


class Held(NamedTuple):
    """An item that a worker believes to own."""

    item: uuid.UUID
    epoch: int


class Claimed(NamedTuple):
    """An item as a worker gets it from `claim`, JSON still as text.

    `version`, `state_schema` and `data` belong together: `data` is the state of Snapshot `version`, of that shape; both
    are None when no snapshot exists yet (version 0 of an item whose first step never committed).
    `claimed_at` is the database's time of the claim.
    `answers` is the JSON of what was asked for from that version and answered, as `runtime.store.waits` writes it, None
    for an item without waits. `rated` items are under a rate limit: each of their steps takes a claim of its own.
    """

    id: uuid.UUID
    namespace: str
    engine: str
    engine_version: str
    payload: str | None
    config: str | None
    priority: int
    fair_key: str
    pool: str
    state_schema: int | None
    resources: str
    limited: bool
    epoch: int
    version: int
    attempt: int
    max_attempts: int
    deaths: int
    step_label: str
    steps_total: int
    max_steps: int | None
    step_timeout: float | None
    timeout_left: float | None
    parent_id: uuid.UUID | None
    created_at: dt.datetime
    deadline_at: dt.datetime | None
    claimed_at: dt.datetime
    data: str | None
    answers: str | None = None
    rated: bool = False

    @property
    def lane(self) -> Lane:
        """Where the item stood in the queue."""
        return Lane(self.fair_key, self.engine, self.namespace, self.pool)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRequest:
    """What a worker asks for: up to `limit` due items of these engines (None: any) and pools (empty: any).

    `alone` asks for one suspect (an item with two or more deaths) and nothing else, for a worker that has nothing in
    flight; `due` and `next_due_in` then speak of suspects only. Other requests never see suspects.

    `front` is the asker's own note of where due work begins, kept from one request to the next; without one, each claim
    looks at everything.
    """

    worker: uuid.UUID
    engines: tuple[str, ...] | None
    pools: tuple[str, ...]
    limit: int
    alone: bool = False
    front: Front | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a claim would take now, in its order; `limits` are the enabled limits with the places it would leave.

    `ruled` is False where neither limits nor fairness keys have a say: nothing else was looked at then.
    """

    ruled: bool
    items: tuple[uuid.UUID, ...] = ()
    limits: tuple[Bound, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """An event to append with an outcome; `data` is JSON text."""

    kind: str
    reason: str = ""
    data: str | None = None
    duration: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewArtifact:
    """An artifact whose bytes are stored already; `metadata` is JSON text."""

    id: uuid.UUID
    name: str
    kind: str
    content_type: str
    size: int
    sha256: str
    metadata: str


class Moved(NamedTuple):
    """Content that a value of an outcome is from now on. `version` is the snapshot's for a state, 0 for a result."""

    place: str
    version: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NewItem:
    """An item to insert. JSON as text; `delay` seconds from the database's now; limits already resolved.

    `resources` is the JSON list of {"key", "mode", "units", "scope"}; `limited` says whether it is not empty. `actor`,
    `reason` and `click` are kept in its first event.
    """

    id: uuid.UUID
    namespace: str
    engine: str
    engine_version: str
    pool: str
    payload: str
    config: str | None
    priority: int
    fair_key: str
    resources: str
    limited: bool
    delay: float
    run_at: dt.datetime | None
    deadline_at: dt.datetime | None
    max_attempts: int
    max_steps: int | None
    pause_at_step: int | None
    step_timeout: float | None
    item_timeout: float | None
    parent_id: uuid.UUID | None
    relation: str
    idempotency_key: str | None
    actor: str
    reason: str = ""
    click: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewWait:
    """Something to wait for; see `runtime.models.Wait`. JSON as text; seconds from the database's now."""

    key: str
    kind: str
    needed: str = "all"
    prompt: str = ""
    schema: str | None = None
    data: str | None = None
    signal_name: str = ""
    quorum: int = 1
    on_reject: str = "answer"
    has_default: bool = False
    default: str | None = None
    expires_in: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewSignal:
    """A signal to keep: for the item `target`, or for a name in a namespace. `payload` is data, not text."""

    id: uuid.UUID
    namespace: str
    name: str
    payload: Any
    target: uuid.UUID | None = None
    delivery_id: str | None = None
    actor: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one step came to, ready to be written.

    `epoch` and `version` are the fence: the item's when the step began. `advance` writes Snapshot `version + 1` with
    `data` (JSON text; None with `advance` repeats nothing: it is an error) and moves the item's version; `initial`,
    when not None, writes Snapshot 0 in the same go; both have the shape `state_schema`. `state` running keeps the
    lease; every other state ends it and frees claims (scope step; on a terminal state, all). For state queued, the
    item is due in `delay` seconds.
    `advance` sets deaths back to 0 and clears the item's last error, unless the outcome brings one. `attempt` is
    written as it is. The event list is written in order, with the version and attempt after the outcome; `worker`
    signs it.

    `moved` names the contents that `data`, `initial` and `result` refer to where their text is a reference (see
    `runtime.offload`); `whole` is then the text of the state itself, for the process that made it.

    `drops` says that the snapshot of `version` goes with the commit that makes the next one, unless the item is held.

    `waits` are asked for from the version after the outcome; an outcome with waits leaves the item waiting, or queued
    at once (reason answered) when what it waits for is there. Its artifacts are those of the version to be made.
    `asked` says that the item has waits which no step has consumed, `answers` are the keys of those whose answers the
    step was handed: `advance` consumes these, and takes back all others, answered meanwhile or not.

    `duration`, `tokens` and `cost` (in millionths of a dollar) are added to the item's totals, whatever the outcome.

    `lingers` says that the step runs on, whatever is written about it: an item with resources keeps its claims, and a
    lease that is revoked, until its process has ended.
    """

    worker: uuid.UUID
    item: uuid.UUID
    epoch: int
    version: int
    state: str
    reason: str = ""
    advance: bool = False
    drops: bool = False
    data: str | None = None
    initial: str | None = None
    state_schema: int = 1
    label: str = ""
    result: str | None = None
    error: str | None = None
    fingerprint: str = ""
    attempt: int = 0
    delay: float = 0.0
    duration: float = 0.0
    tokens: int = 0
    cost: int = 0
    limited: bool = False
    has_parent: bool = False
    events: tuple[NewEvent, ...] = ()
    artifacts: tuple[NewArtifact, ...] = ()
    children: tuple[NewItem, ...] = ()
    waits: tuple[NewWait, ...] = ()
    moved: tuple[Moved, ...] = ()
    whole: str | None = None
    asked: bool = False
    answers: tuple[str, ...] = ()
    lingers: bool = False

    @property
    def used(self) -> str | None:
        """Tokens and cost as one array, for a statement that seldom has any."""
        return f"{{{self.tokens},{self.cost}}}" if self.tokens or self.cost else None

    @property
    def frees(self) -> bool:
        """Whether claims are freed with it."""
        return self.limited and self.state != State.RUNNING and not self.lingers


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitAnswer:
    """A person's answer to an open wait: the vote that is kept, and with `final` the value that the step gets."""

    wait: uuid.UUID
    by: str
    reason: str
    value: Any
    final: bool


class Position(NamedTuple):
    """Where an item is, for reading back after a lost answer."""

    state: str
    epoch: int
    version: int
    leased: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Beat:
    """What a heartbeat found: leases no longer ours, leases in our name that memory lacks, and our wanted state."""

    lost: frozenset[Held]
    strangers: frozenset[Held]
    desired_state: str


@dataclass(kw_only=True, slots=True)
class SweepReport:
    """What a sweep did, as counts."""

    recovered: int = 0
    quarantined: int = 0
    timed_out: int = 0
    overdue: int = 0
    woken: int = 0
    workers_lost: int = 0
    leases_dropped: int = 0
    expired: int = 0
    more: bool = False

    @property
    def changed(self) -> int:
        """How many items may now be due."""
        return self.recovered + self.woken + self.expired


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """How an operator's move changes an item. Decided while the item's row is locked.

    `fence` raises the epoch and revokes the lease of a running item. `changes` are column values. `restore` names a
    snapshot version whose data is appended as a new version. `delay` (seconds) sets run_at from the database's now
    when `state` is queued; None leaves run_at as it is. `free` names the resource keys whose claims, held or wanted,
    the item gives up in the same transaction, whoever still works with them; waiters that fit are woken.
    `clear_errors` empties attempt, deaths, last_error, fingerprint and the acknowledgement. `forget` names rows of the
    journal to delete, so that their calls are made again. `answer` is given to a wait of the item, which goes on if it
    waits and this was what it needed.

    From the change of state follow, without being in `changes`: run_at, finished_at (set on entering a terminal state,
    None on leaving one), away_since and away_total, and timeout_at (moved by the time away; None on leaving a terminal
    state, so that the next claim starts it anew). Leaving a terminal state also clears the result, and a deadline that
    has passed. Leaving queued drops wanted claims; a terminal state drops all claims of an item that no worker holds,
    withdraws what the item waits for, and lets its parent know.
    """

    kind: str
    state: str | None = None
    reason: str | None = None
    fence: bool = False
    delay: float | None = 0.0
    restore: int | None = None
    free: tuple[str, ...] = ()
    forget: tuple[int, ...] = ()
    clear_errors: bool = False
    answer: WaitAnswer | None = None
    changes: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] | None = None
