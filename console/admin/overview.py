"""Gather what Roost's first page shows, as far as the user may see it: a fixed number of queries, none of them large.

A part is None when the user may not view the table it is about; then its numbers are not even read. The workers and
the last hour are about everybody's work, and for who reaches all namespaces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from console.admin import display, needs
from console.admin.base import may_read_payload, may_view
from console.admin.hour import Hour, last_hour
from console.admin.needs import Need
from runtime import clock, reach
from runtime.choices import State
from runtime.models import Event, Lease, Schedule, Worker, WorkItem
from runtime.queries import feed, overview, schedules, workers
from runtime.queries.attention import Within
from runtime.queries.schedules import ScheduleView
from runtime.queries.within import narrowed
from runtime.queries.words import span
from runtime.queries.workers import WorkerView
from runtime.store import work_database

WORKERS = 10
SCHEDULES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class StateTile:
    """How many items are in a state, and since when there is one, which `oldest_url` leads to."""

    badge: SafeString
    count: str
    url: str
    oldest: str
    oldest_url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerRow:
    """A worker that has not stopped; `holds` is None for those who may not view leases."""

    worker: Worker
    badge: SafeString
    link: SafeString | str
    holds: int | None
    holds_url: str
    silent: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerPart:
    """The workers; `taking` of them take work."""

    rows: tuple[WorkerRow, ...]
    taking: int
    taking_url: str
    count: int
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """The whole page. `cursor` was taken before anything was read."""

    cursor: str
    states: tuple[StateTile, ...] | None
    needs: tuple[Need, ...]
    hour: Hour | None
    workers: WorkerPart | None
    schedules: tuple[ScheduleView, ...] | None
    has_items: bool
    dead_url: str
    reads_payload: bool


def overview_page(request: HttpRequest) -> Overview:
    """Return the page for this user."""
    cursor = feed.start() if may_view(request, WorkItem) else ""
    alive = workers.views() if may_view(request, Worker) else None
    within = reach.of(request.user)
    states = _states(within) if may_view(request, WorkItem) else None
    return Overview(
        cursor=cursor,
        states=states,
        needs=tuple(needs.of(request, alive, reads=may_read_payload(request))),
        hour=last_hour() if may_view(request, Event) and within is None else None,
        workers=_workers(alive, leases=may_view(request, Lease)) if alive is not None else None,
        schedules=_schedules(within) if may_view(request, Schedule) else None,
        has_items=states is None or any(tile.count != "0" for tile in states),
        dead_url=reverse("admin:roost_workitem_dead"),
        reads_payload=may_read_payload(request),
    )


def _states(within: Within) -> tuple[StateTile, ...]:
    return tuple(
        StateTile(
            badge=display.badge(standing.state, State(standing.state).label),
            count=display.figure(standing.count),
            url=display.list_url("workitem", state__exact=standing.state),
            oldest="" if standing.oldest is None else _("oldest %(age)s") % {"age": span(standing.oldest)},
            oldest_url="" if standing.first is None else reverse("admin:roost_workitem_change", args=[standing.first]),
        )
        for standing in overview.standings(within=within)
    )


def _workers(alive: Sequence[WorkerView], *, leases: bool) -> WorkerPart:
    return WorkerPart(
        rows=tuple(_worker(view, leases=leases) for view in alive[:WORKERS]),
        taking=sum(view.takes_work for view in alive),
        taking_url=display.list_url("worker", work="takes"),
        count=len(alive),
        url=display.list_url("worker"),
    )


def _worker(view: WorkerView, *, leases: bool) -> WorkerRow:
    worker: Any = view.worker
    return WorkerRow(
        worker=worker,
        badge=display.badge(worker.state, worker.get_state_display()),
        link=display.worker_link(worker.pk, worker),
        holds=view.running if leases else None,
        holds_url=display.list_url("lease", worker__id__exact=worker.pk),
        silent=not view.alive,
    )


def _schedules(within: Within) -> tuple[ScheduleView, ...]:
    using = work_database()
    coming = Schedule.objects.using(using).filter(enabled=True, fire_at__isnull=False).order_by("fire_at")
    found = narrowed(coming, within)
    now = clock.now(using)
    return tuple(schedules.view(row, now, count=1) for row in found[:SCHEDULES])
