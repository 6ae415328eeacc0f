"""The store on PostgreSQL: set-based SQL, safe with any number of workers on any number of machines."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from runtime.journal.entries import Found, Write
from runtime.store.base import Store
from runtime.store.delivery import deliver
from runtime.store.operate import move
from runtime.store.postgres.acknowledge import acknowledge
from runtime.store.postgres.claim import claim
from runtime.store.postgres.commit import commit
from runtime.store.postgres.due import due, next_due_in
from runtime.store.postgres.insert import insert, insert_one
from runtime.store.postgres.journal import journal
from runtime.store.postgres.positions import read_back
from runtime.store.postgres.release import release
from runtime.store.postgres.renew import renew
from runtime.store.postgres.ruled import forecast, suspect_due
from runtime.store.postgres.sweep import sweep
from runtime.store.transactions import begin
from runtime.store.turns import Turns
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


class PostgresStore(Store):
    """The contract's methods, each in the file of its name."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.turns = Turns()

    def insert(self, items: Sequence[NewItem]) -> set[uuid.UUID]:
        return insert(self.using, items)

    def insert_one(self, item: NewItem) -> WorkItem | None:
        return insert_one(self.using, item)

    def claim(self, request: ClaimRequest) -> list[Claimed]:
        return claim(self.using, request, self.turns)

    def commit(self, outcomes: Sequence[Outcome]) -> dict[uuid.UUID, str]:
        return commit(self.using, outcomes)

    def journal(self, writes: Sequence[Write]) -> list[Found]:
        return journal(self.using, writes)

    def renew(
        self,
        worker: uuid.UUID,
        held: Sequence[Held],
        progress: dict[uuid.UUID, str] | None = None,
        *,
        still: Sequence[Held] = (),
    ) -> Beat:
        return renew(self.using, worker, held, progress or {}, still)

    def release(self, worker: uuid.UUID, held: Sequence[Held], reason: str) -> int:
        return release(self.using, worker, held, reason)

    def acknowledge(self, worker: uuid.UUID, held: Sequence[Held]) -> int:
        return acknowledge(self.using, worker, held)

    def sweep(
        self,
        *,
        dead_workers: Iterable[uuid.UUID] = (),
        living_workers: Iterable[uuid.UUID] = (),
        only_dead: bool = False,
        batch: int,
    ) -> SweepReport:
        return sweep(self.using, dead_workers, batch, only_dead=only_dead)

    def move(
        self,
        item: uuid.UUID,
        decide: Callable[[WorkItem], Move | None],
        *,
        actor: str,
        reason: str,
        family: list[WorkItem] | None = None,
    ) -> tuple[WorkItem, bool]:
        return move(self.using, item, decide, actor=actor, reason=reason, family=family)

    def signal(self, signal: NewSignal) -> tuple[uuid.UUID, list[WorkItem]]:
        return deliver(self.using, signal)

    def read_back(self, items: Sequence[uuid.UUID]) -> dict[uuid.UUID, Position]:
        return read_back(self.using, items)

    def forecast(self, request: ClaimRequest) -> Forecast:
        with begin(self.using, savepoint=False):  # its statements have no limits of their own
            return forecast(self.using, request, self.turns)

    def due(self, request: ClaimRequest) -> int | None:
        found = due(self.using, request)
        return suspect_due(self.using, request) if request.alone and found is not None else found

    def next_due_in(self, request: ClaimRequest) -> float | None:
        return next_due_in(self.using, request)
