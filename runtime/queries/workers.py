"""Read which worker processes there are, and which of them can take work."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet
from django.db.models.expressions import Combinable

from runtime import clock
from runtime.choices import WorkerState
from runtime.conf import settings as roost
from runtime.models import Worker
from runtime.queries import by_id
from runtime.queries.page import Page, checked_limit, part_of
from runtime.store import work_database

BEATS = 3
"""Heartbeats a worker may miss before it counts as not alive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerView:
    """A worker process as seen from the database: `beat_age` in seconds, `running` the leases it holds."""

    worker: Worker
    beat_age: float
    running: int

    @property
    def alive(self) -> bool:
        """Whether it is not stopped and was heard of within three heartbeats."""
        return self.worker.state != WorkerState.OFFLINE and self.beat_age <= BEATS * roost.HEARTBEAT_SECONDS

    @property
    def takes_work(self) -> bool:
        """Whether it is alive and neither draining nor told to."""
        return self.alive and self.worker.state == self.worker.desired_state == WorkerState.ONLINE

    @property
    def drains(self) -> bool:
        """Whether it is alive and takes no work because an operator said so, until an operator says otherwise."""
        return self.alive and self.worker.state == WorkerState.ONLINE and not self.takes_work

    @property
    def free(self) -> int:
        """How many more items it can hold."""
        return max(0, self.worker.capacity - self.running)

    def offers(self, engine: str, pool: str) -> bool:
        """Whether it runs items of that engine and pool; an empty list stands for all."""
        engines, pools = self.worker.engines, self.worker.pools
        return (not engines or engine in engines) and (not pools or pool in pools)


def views(*, offline: bool = False, using: str | None = None) -> list[WorkerView]:
    """Return the workers, newest first; those that have stopped only if `offline`."""
    return list(page(offline=offline, using=using).rows)


def page(
    *,
    offline: bool = False,
    after: tuple[dt.datetime, uuid.UUID] | None = None,
    limit: int | None = None,
    using: str | None = None,
) -> Page[WorkerView]:
    """Return a page of `views`, or all; the next page is `after` the start and the id of the last row."""
    using = using or work_database()
    found = _counted(using)
    if not offline:
        found = found.exclude(state=WorkerState.OFFLINE)
    if after is not None:
        found = found.filter(Q(started_at__lt=after[0]) | Q(started_at=after[0], pk__gt=after[1]))
    now = clock.now(using)
    rows = found.order_by("-started_at", "id")
    part = part_of(rows if limit is None else rows[: checked_limit(limit) + 1], limit)
    return Page(rows=tuple(_view(worker, now) for worker in part.rows), more=part.more)


def offering(engine: str, pool: str, *, among: Iterable[WorkerView]) -> list[WorkerView]:
    """Return those of the workers that take work of that engine and pool."""
    return [view for view in among if view.takes_work and view.offers(engine, pool)]


def find(name: str | uuid.UUID, *, using: str | None = None) -> WorkerView:
    """Return the worker of that id, or of that unique beginning of an id, also one that has stopped.

    Raises `InvalidInput` for what is no id or fits several, `NotFound`.
    """
    using = using or work_database()
    return _view(by_id.get(_counted(using), name, what="worker", listing="roost workers"), clock.now(using))


def heard_since(*, using: str | None = None) -> dt.datetime | Combinable:
    """Return when a worker that is alive was last heard of, or later, for a query to compare with."""
    return clock.before(using or work_database(), BEATS * roost.HEARTBEAT_SECONDS)


def _counted(using: str) -> QuerySet[Worker]:
    """Return the workers, each with how many leases it holds."""
    held = Count("leases", filter=Q(leases__revoked_at=None))
    rows: QuerySet[Worker] = Worker.objects.using(using).annotate(running=held)
    return rows


def _view(worker: Worker, now: dt.datetime) -> WorkerView:
    age = (now - worker.heartbeat_at).total_seconds()
    running: int = worker.running  # type: ignore[attr-defined]
    return WorkerView(worker=worker, beat_age=max(0.0, age), running=running)
