"""The store for SQLite: one machine, one writer at a time.

Each transaction takes the write lock when it begins, so reading first and writing what was read for is safe, and the
row locks that the other store needs are not needed here. Batches go through `executemany` with a handful of
statements; whatever touches few items goes through the ORM.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence

from runtime.journal.entries import Found, Write
from runtime.models import WorkItem
from runtime.store.base import Store
from runtime.store.delivery import deliver
from runtime.store.operate import move
from runtime.store.portable.acknowledge import acknowledge
from runtime.store.portable.claim import claim
from runtime.store.portable.commit import commit
from runtime.store.portable.due import highest_priority, seconds_until_due
from runtime.store.portable.insert import insert
from runtime.store.portable.journal import journal
from runtime.store.portable.read_back import read_back
from runtime.store.portable.release import release
from runtime.store.portable.renew import renew
from runtime.store.portable.ruled import forecast, suspect_due
from runtime.store.portable.sweep import sweep
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


class PortableStore(Store):
    """Keeps the contract of `runtime.store.base` on SQLite."""

    def __init__(self, using: str) -> None:
        self.using = using
        self.turns = Turns()

    def insert(self, items: Sequence[NewItem]) -> set[uuid.UUID]:
        return insert(self.using, items)

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
        return sweep(self.using, frozenset(dead_workers), frozenset(living_workers), batch, only_dead=only_dead)

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
        return forecast(self.using, request, self.turns)

    def due(self, request: ClaimRequest) -> int | None:
        found = highest_priority(self.using, request)
        return suspect_due(self.using, request) if request.alone and found is not None else found

    def next_due_in(self, request: ClaimRequest) -> float | None:
        return seconds_until_due(self.using, request)
