"""The store: the transactions through which every change of a work item goes.

    insert      new items, with their first event                       any transaction, also the caller's
    claim       due items → running, with leases, claims, epochs        one short transaction
    commit      what steps came to: a batch of outcomes                 one short transaction, each row fenced alone
    renew       prolong the leases held in memory; learn which are lost one statement
    release     give items back that were never, or no longer, run      one short transaction
    acknowledge let go of claims of items that were taken away          one short transaction
    sweep       take back what dead workers hold, end what is overdue   bounded batches, one transaction each
    move        one operator's move on one item                         one transaction

Two implementations keep this contract: `store.postgres` (set-based SQL, many workers on many machines) and
`store.portable` (Django's ORM inside an immediate transaction: SQLite, one machine). `get_store()` picks.

Fence: a lease is good while the item's (epoch, state) is (the lease's epoch, running) and the lease is not revoked.
`commit` writes an outcome only if its (epoch, version) are still the item's; an outcome that fails the check writes
nothing at all: no snapshot, no event, no artifact, no child. Nothing here ever waits while a step runs.

Lock order, everywhere: Limit rows, then Resource rows by id, then WorkItem rows by id in one go, then Lease rows by
item. Every transaction runs with `ROOST_LOCK_TIMEOUT_MS` and `ROOST_STATEMENT_TIMEOUT_MS`; deadlocks and serialization
failures are retried (`store.transactions`), and are never a step's failure.

After a COMMIT whose answer was lost: call `read_back`. Only the holder of an epoch can move `version` under it, so
(epoch, version + 1) means that the outcome was written, and (epoch, version) with the lease still there that it was
not and may be sent again.
"""

from __future__ import annotations

import datetime as dt
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from runtime.models import WorkItem
    from runtime.store.limits import Bound


class Held(NamedTuple):
    """An item that a worker believes to own."""

    item: uuid.UUID
    epoch: int


class Claimed(NamedTuple):
    """An item as a worker gets it from `claim`, JSON still as text.

    `version` and `data` belong together: `data` is the state of Snapshot `version`, None when no snapshot exists yet
    (version 0 of an item whose first step never committed). `claimed_at` is the database's time of the claim.
    `rated` items are under a rate limit: each of their steps takes a claim of its own.
    """

    id: uuid.UUID
    namespace: str
    engine: str
    engine_version: str
    payload: str | None
    config: str | None
    priority: int
    fair_key: str
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
    rated: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimRequest:
    """What a worker asks for: up to `limit` due items of these engines (None: any) and pools (empty: any).

    `alone` asks for one suspect (an item with two or more deaths) and nothing else, for a worker that has nothing in
    flight; `due` and `next_due_in` then speak of suspects only. Other requests never see suspects.
    """

    worker: uuid.UUID
    engines: tuple[str, ...] | None
    pools: tuple[str, ...]
    limit: int
    alone: bool = False


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


@dataclass(frozen=True, kw_only=True, slots=True)
class NewItem:
    """An item to insert. JSON as text; `delay` seconds from the database's now; limits already resolved.

    `resources` is the JSON list of {"key", "mode", "units", "scope"}; `limited` says whether it is not empty.
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
    step_timeout: float | None
    item_timeout: float | None
    parent_id: uuid.UUID | None
    relation: str
    idempotency_key: str | None
    actor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one step came to, ready to be written.

    `epoch` and `version` are the fence: the item's when the step began. `advance` writes Snapshot `version + 1` with
    `data` (JSON text; None with `advance` repeats nothing: it is an error) and moves the item's version; `initial`,
    when not None, writes Snapshot 0 in the same go. `state` running keeps the lease; every other state ends it and
    frees claims (scope step; on a terminal state, all). For state queued, the item is due in `delay` seconds.
    `advance` sets deaths back to 0 and clears the item's last error, unless the outcome brings one. `attempt` is
    written as it is. The event list is written in order, with the version and attempt after the outcome; `worker`
    signs it.
    """

    worker: uuid.UUID
    item: uuid.UUID
    epoch: int
    version: int
    state: str
    reason: str = ""
    advance: bool = False
    data: str | None = None
    initial: str | None = None
    label: str = ""
    result: str | None = None
    error: str | None = None
    fingerprint: str = ""
    attempt: int = 0
    delay: float = 0.0
    duration: float = 0.0
    limited: bool = False
    has_parent: bool = False
    events: tuple[NewEvent, ...] = ()
    artifacts: tuple[NewArtifact, ...] = ()
    children: tuple[NewItem, ...] = ()


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
    more: bool = False

    @property
    def changed(self) -> int:
        """How many items may now be due."""
        return self.recovered + self.woken


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """How an operator's move changes an item. Decided while the item's row is locked.

    `fence` raises the epoch and revokes the lease of a running item. `changes` are column values. `restore` names a
    snapshot version whose data is appended as a new version. `delay` (seconds) sets run_at from the database's now
    when `state` is queued; None leaves run_at as it is. `free` names the resource keys whose claims, held or wanted,
    the item gives up in the same transaction, whoever still works with them; waiters that fit are woken.
    `clear_errors` empties attempt, deaths, last_error, fingerprint and the acknowledgement.

    From the change of state follow, without being in `changes`: run_at, finished_at (set on entering a terminal state,
    None on leaving one), away_since and away_total, and timeout_at (moved by the time away; None on leaving a terminal
    state, so that the next claim starts it anew). Leaving a terminal state also clears the result, and a deadline that
    has passed. Leaving queued drops wanted claims; a terminal state drops all claims of an item that no worker holds.
    """

    kind: str
    state: str | None = None
    reason: str | None = None
    fence: bool = False
    delay: float | None = 0.0
    restore: int | None = None
    free: tuple[str, ...] = ()
    clear_errors: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] | None = None


class Store(ABC):
    """The contract. Methods raise Django's database errors when the database is away; nothing is half-written then."""

    using: str
    """Alias of the work database."""

    @abstractmethod
    def insert(self, items: Sequence[NewItem]) -> set[uuid.UUID]:
        """Insert items with their `enqueued` event; return the ids inserted.

        An item whose (namespace, idempotency_key) is taken is left out, also when another transaction takes the key
        at the same instant. Joins the caller's transaction; all or nothing otherwise. May lock parents: no.
        """

    @abstractmethod
    def claim(self, request: ClaimRequest) -> list[Claimed]:
        """Take due items for a worker: most urgent priority first, then by due time.

        Where items with a fairness key are due, the keys of one priority take turns (items without one are one more
        key), each key's items by due time. Items for which an enabled Limit has no place are passed over where they
        stand: nothing is parked or woken for a limit, so that no wake-up can be lost.

        Each gets epoch + 1, a lease of `ROOST_LEASE_SECONDS`, its resource claims (all or none) and a `claimed` event;
        `started_at` and `timeout_at` where they are not set. An item whose resources are not free is parked with reason
        `resource` and wanted claims, and so is one with resources whose revoked lease is still there; without any, a
        revoked lease is replaced. Rows that others have locked are passed over. The state and snapshot returned are
        those of the claimed version, read after the lock.
        """

    @abstractmethod
    def commit(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        """Write outcomes (at most one for an item) in one transaction; return the accepted items and their final state.

        The rest were fenced off and left no trace. Frees claims and wakes the waiters that fit. The state returned is
        the one the item was left in: an item with `pause_requested` whose outcome says running or queued is paused
        instead (reason operator, event `paused`), and its lease is gone. Any other error writes none of the batch.
        """

    @abstractmethod
    def renew(self, worker: uuid.UUID, held: Sequence[Held], progress: dict[uuid.UUID, str] | None = None) -> Beat:
        """Prolong this worker's leases and its own heartbeat; say which are lost and which it did not know of."""

    @abstractmethod
    def release(self, worker: uuid.UUID, held: Sequence[Held], reason: str) -> int:
        """Give items back, due at once, costing neither attempt nor death; return how many were still ours.

        An item with `pause_requested` is paused instead, here as in `sweep`.
        """

    @abstractmethod
    def acknowledge(self, worker: uuid.UUID, held: Sequence[Held]) -> int:
        """Drop revoked leases whose step has ended here, free their claims and wake waiters."""

    @abstractmethod
    def sweep(
        self, *, dead_workers: Iterable[uuid.UUID] = (), living_workers: Iterable[uuid.UUID] = (), batch: int
    ) -> SweepReport:
        """Take back the items of leases that expired or belong to `dead_workers`; end what is overdue.

        Recovered items are due at once with deaths + 1; after two, and `ROOST_MAX_DEATHS` more alone, they fail as
        poison. Also: deadlines and item timeouts, revoked leases that expired, parked items whose resources are
        free; `dead_workers` become offline. Safe with any number of sweepers: an item is recovered once. On SQLite
        expiry alone takes nothing from `living_workers`, whose processes the caller sees to be alive on this host.
        """

    @abstractmethod
    def move(
        self, item: uuid.UUID, decide: Callable[[WorkItem], Move | None], *, actor: str, reason: str
    ) -> tuple[WorkItem, bool]:
        """Lock the item, let `decide` say what happens (it may raise `Conflict`), and write it with its event.

        Returns the item after the move and whether anything changed (`decide` may return None). Raises `NotFound`.
        """

    @abstractmethod
    def read_back(self, items: Sequence[uuid.UUID]) -> dict[uuid.UUID, Position]:
        """Read where items are, in a new statement."""

    @abstractmethod
    def forecast(self, request: ClaimRequest) -> Forecast:
        """Say what a claim would take now where limits or fairness keys have a say. Locks and changes nothing."""

    @abstractmethod
    def due(self, request: ClaimRequest) -> int | None:
        """Return the highest priority among items due for this worker now, None when there are none. Cheap."""

    @abstractmethod
    def next_due_in(self, request: ClaimRequest) -> float | None:
        """Return the seconds until the next item for this worker is due (0 when one is), None when there is none."""
