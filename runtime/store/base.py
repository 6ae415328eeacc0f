"""The store: the transactions through which every change of a work item goes.

    insert      new items, with their first event                       any transaction, also the caller's
    claim       due items → running, with leases, claims, epochs        one short transaction
    commit      what steps came to: a batch of outcomes                 one short transaction, each row fenced alone
    journal     begins and ends of recorded calls, while steps run      one statement, each row fenced alone
    renew       prolong the leases held in memory; learn which are lost one statement
    release     give items back that were never, or no longer, run      one short transaction
    acknowledge let go of claims of items that were taken away          one short transaction
    sweep       take back what dead workers hold, end what is overdue   bounded batches, one transaction each
    move        one operator's move on one item                         one transaction
    signal      keep a signal, and let who waits for it go on           one transaction

Two implementations keep this contract: `store.postgres` (set-based SQL, many workers on many machines) and
`store.portable` (Django's ORM inside an immediate transaction: SQLite, one machine). `get_store()` picks.

Fence: a lease is good while the item's (epoch, state) is (the lease's epoch, running) and the lease is not revoked.
`commit` writes an outcome only if its (epoch, version) are still the item's; an outcome that fails the check writes
nothing at all: no snapshot, no event, no artifact, no child. Nothing here ever waits while a step runs.

Lock order, everywhere: Limit rows, then Resource rows by id, Mailbox rows by id, then WorkItem rows by id in one go,
then Lease rows by item. Every transaction runs with `ROOST_LOCK_TIMEOUT_MS` and `ROOST_STATEMENT_TIMEOUT_MS`; deadlocks
and serialization failures are retried (`store.transactions`), and are never a step's failure.

After a COMMIT whose answer was lost: call `read_back`. Only the holder of an epoch can move `version` under it, so
(epoch, version + 1) means that the outcome was written, and (epoch, version) with the lease still there that it was
not and may be sent again.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from runtime.journal.entries import Found, Write
from runtime.store.values import (
    Beat,
    Claimed,
    ClaimRequest,
    Forecast,
    Held,
    Move,
    NewItem,
    NewSignal,
    Outcome,
    Position,
    SweepReport,
)

if TYPE_CHECKING:
    from runtime.models import WorkItem


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

    def insert_one(self, item: NewItem) -> WorkItem | None:
        """Insert an item as `insert` does; return its row as it was inserted, None when its key is taken.

        A store may do it in one statement. Here it is two in one transaction.
        """
        from runtime.store.whole import inserted

        return inserted(self.using, item, self.insert)

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
        the one the item was left in: an item whose outcome does not end it is paused instead, if that was requested
        (reason operator) or the step was the last before `pause_at_step` (reason step_quota, and the mark is cleared);
        an event `paused` is added, and its lease is gone. An item that asked for what is there already is queued.
        Parents that wait for an item which ended are told. Any other error writes none of the batch.
        """

    @abstractmethod
    def journal(self, writes: Sequence[Write]) -> list[Found]:
        """Write begins and ends of recorded calls (at most one for a key); return the answers in their order.

        A write is fenced by (epoch, version) as an outcome is, and then judged by the entry that is there:
        `runtime.journal.entries.judge` is the rule. An entry decides itself where it is not to be begun again; an end
        counts only for the latest attempt. A write sent twice counts once, so one whose answer was lost is simply sent
        again. Nothing waits for an item's row: a write that finds it locked is answered BUSY. An error writes nothing.
        """

    @abstractmethod
    def renew(
        self,
        worker: uuid.UUID,
        held: Sequence[Held],
        progress: dict[uuid.UUID, str] | None = None,
        *,
        still: Sequence[Held] = (),
    ) -> Beat:
        """Prolong this worker's leases and its own heartbeat; say which are lost and which it did not know of.

        Leases in `still` are revoked ones, whose items were taken away while their steps use resources: prolonged too,
        they keep these from others until `acknowledge`.
        """

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
        self,
        *,
        dead_workers: Iterable[uuid.UUID] = (),
        living_workers: Iterable[uuid.UUID] = (),
        only_dead: bool = False,
        batch: int,
    ) -> SweepReport:
        """Take back the items of leases that expired or belong to `dead_workers`; end what is overdue.

        Recovered items are due at once with deaths + 1; after two, and `ROOST_MAX_DEATHS` more alone, they fail as
        poison. Also: deadlines and item timeouts, revoked leases that expired, parked items whose resources are free,
        waits whose time is over, and items whose children have all ended unnoticed; `dead_workers` become offline. Safe
        with any number of sweepers: an item is recovered once. On SQLite expiry alone takes nothing from
        `living_workers`, whose processes the caller sees to be alive on this host. With `only_dead` no time that has
        passed counts, as after an outage in which nobody could renew: only what `dead_workers` hold is taken back. Rows
        that others keep locked are passed over, and hide none behind them.
        """

    @abstractmethod
    def move(
        self,
        item: uuid.UUID,
        decide: Callable[[WorkItem], Move | None],
        *,
        actor: str,
        reason: str,
        family: list[WorkItem] | None = None,
    ) -> tuple[WorkItem, bool]:
        """Lock the item, let `decide` say what happens (it may raise `Conflict`), and write it with its event.

        Returns the item after the move and whether anything changed (`decide` may return None). Raises `NotFound`.
        With the list `family`, its live children and theirs, whoever between them has ended, but for those whose
        relation is "detached" and theirs, are cancelled with it, in the same transaction, and put into the list.
        """

    @abstractmethod
    def signal(self, signal: NewSignal) -> tuple[uuid.UUID, list[WorkItem]]:
        """Keep a signal until a wait takes it; return its id and the items that it moved.

        A signal to an item goes to that item alone, one to a name to the oldest open wait for the name in the
        namespace, of an item that waits or is paused. No wake-up is lost whichever comes first, signal or wait. A
        second signal with the same delivery id is the first one: its id is returned and nothing happens. Raises
        `NotFound`, `Conflict` for an item that has ended, `IdempotencyConflict` for a delivery id that is taken by
        another signal.
        """

    @abstractmethod
    def read_back(self, items: Sequence[uuid.UUID]) -> dict[uuid.UUID, Position]:
        """Read where items are, in a new statement."""

    @abstractmethod
    def forecast(self, request: ClaimRequest) -> Forecast:
        """Say what a claim would take now where limits or fairness keys have a say. Locks and changes nothing."""

    @abstractmethod
    def due(self, request: ClaimRequest) -> int | None:
        """Return the highest priority among items due for this worker now, None when there are none. Cheap.

        A suspect counts only if this worker could have it were it empty: not one that a limit holds back whatever this
        worker runs.
        """

    @abstractmethod
    def next_due_in(self, request: ClaimRequest) -> float | None:
        """Return the seconds until the next item for this worker is due (0 when one is), None when there is none."""
