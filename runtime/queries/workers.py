"""Read which worker processes there are, and which of them can take work."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q

from runtime import clock
from runtime.choices import WorkerState
from runtime.conf import settings as roost
from runtime.models import Worker
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
    def free(self) -> int:
        """How many more items it can hold."""
        return max(0, self.worker.capacity - self.running)

    def offers(self, engine: str, pool: str) -> bool:
        """Whether it runs items of that engine and pool; an empty list stands for all."""
        engines, pools = self.worker.engines, self.worker.pools
        return (not engines or engine in engines) and (not pools or pool in pools)


def views(*, offline: bool = False, using: str | None = None) -> list[WorkerView]:
    """Return the workers, newest first; those that have stopped only if `offline`."""
    using = using or work_database()
    found = Worker.objects.using(using).annotate(running=Count("leases", filter=Q(leases__revoked_at=None)))
    if not offline:
        found = found.exclude(state=WorkerState.OFFLINE)
    now = clock.now(using)
    return [_view(worker, now) for worker in found.order_by("-started_at", "id")]


def offering(engine: str, pool: str, *, among: Iterable[WorkerView]) -> list[WorkerView]:
    """Return those of the workers that take work of that engine and pool."""
    return [view for view in among if view.takes_work and view.offers(engine, pool)]


def heard_since(*, using: str | None = None) -> dt.datetime:
    """Return when a worker that is alive was last heard of, or later."""
    return clock.now(using or work_database()) - dt.timedelta(seconds=BEATS * roost.HEARTBEAT_SECONDS)


def _view(worker: Worker, now: dt.datetime) -> WorkerView:
    age = (now - worker.heartbeat_at).total_seconds()
    running: int = worker.running  # type: ignore[attr-defined]
    return WorkerView(worker=worker, beat_age=max(0.0, age), running=running)
