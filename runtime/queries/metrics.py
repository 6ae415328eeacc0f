"""Count what a monitoring system wants to know, each time it asks, without ever reading all of a large table.

Of items in one state the oldest and the newest `COUNTED` are read; where there are more, the numbers of each engine are
theirs, times how many more there are, and `roost_items_estimated` says so. Finished items are never read, but for the
newest dead letters. What happened is told of the last `MINUTES`, out of at most `pulse.SAMPLE` events of each: events
are pruned, so they are no counters that only grow, and every process that answers tells the same.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.db.models import Count, Min, Q, QuerySet

from runtime import clock
from runtime.choices import LIVE, PARKED, EventKind, State
from runtime.models import WorkItem
from runtime.queries import attention, doctor_postgres, pulse, vacuum, workers
from runtime.queries.exposition import Labels, Metric, metric
from runtime.queries.windows import COUNTED, estimated, newest
from runtime.store import work_database

MINUTES = 5
QUANTILES = (0.5, 0.95, 0.99, 1.0)
MOST_ENGINES = 200

# A subquery, so that the engine is looked up by its key for each event, whatever the planner makes of the numbers.
EVENTS_SQL = """
SELECT %s, kind, duration, (SELECT w.engine FROM roost_workitem w WHERE w.id = work_item_id)
FROM roost_event WHERE id >= %s AND id < %s AND created_at >= %s AND created_at < %s
"""


def collect(*, using: str | None = None) -> list[Metric]:
    """Return all metrics."""
    using = using or work_database()
    began = time.monotonic()
    found = [*_items(using), _dead_letters(using), *_recent(using), *_workers(using), *_waiting(using)]
    if connections[using].vendor == "postgresql":
        found += _postgres(using)
    took = time.monotonic() - began
    return [*found, metric("roost_scrape_seconds", "Seconds that it took to read these numbers.", took)]


# Items ----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Standing:
    """What is known of the items of one state and engine."""

    count: float = 0
    oldest: dt.datetime | None = None
    due: dt.datetime | None = None

    def add(self, count: int, oldest: dt.datetime | None, due: dt.datetime | None) -> None:
        self.count += count
        self.oldest = _earlier(self.oldest, oldest)
        self.due = _earlier(self.due, due)


def _items(using: str) -> Iterator[Metric]:
    now = clock.now(using)
    counts: dict[Labels, float] = {}
    ages: dict[Labels, float] = {}
    overdue: dict[Labels, float] = {}
    guessed: dict[Labels, float] = {}
    for state in sorted(LIVE):
        found, known = _standings(state, now, using)
        guessed[("state", state),] = 0 if known else 1
        for engine, standing in sorted(found.items(), key=lambda one: -one[1].count)[:MOST_ENGINES]:
            labels = (("engine", engine), ("state", state))
            counts[labels] = round(standing.count)
            ages[labels] = _seconds(now, standing.oldest)
            if standing.due is not None:
                overdue[("engine", engine),] = _seconds(now, standing.due)
    yield Metric(name="roost_items", about="Items that have not ended.", values=counts)
    yield Metric(name="roost_items_oldest_seconds", about="Age of the oldest of them.", values=ages)
    about = "How long the item that is due for the longest has been due; parked ones left out."
    yield Metric(name="roost_due_oldest_seconds", about=about, values=overdue)
    about = "1 where there are so many items in a state that their number is estimated."
    yield Metric(name="roost_items_estimated", about=about, values=guessed)


def _standings(state: str, now: dt.datetime, using: str) -> tuple[dict[str, _Standing], bool]:
    """Return the items of a state by engine, and whether all were counted."""
    # The second condition always holds: it is how SQLite learns which index it may use.
    rows: QuerySet[Any] = WorkItem.objects.using(using).filter(state=state, state__gt="")
    ids = rows.values_list("pk", flat=True)
    edge = list(ids.order_by("pk")[COUNTED : COUNTED + 1])
    if not edge:
        return _by_engine([rows], state, now), True
    last = list(ids.order_by("-pk")[COUNTED - 1 : COUNTED])
    found = _by_engine([rows.filter(pk__lt=edge[0]), rows.filter(pk__gte=max(edge[0], *last))], state, now)
    read = sum(standing.count for standing in found.values())
    factor = max(1.0, estimated(rows, COUNTED + 1).value / read)
    for standing in found.values():
        standing.count *= factor
    return found, False


def _by_engine(parts: Iterable[QuerySet[Any]], state: str, now: dt.datetime) -> dict[str, _Standing]:
    found: dict[str, _Standing] = defaultdict(_Standing)
    due = Q(run_at__lte=now) & ~Q(reason__in=PARKED)
    for rows in parts:
        named = rows.order_by().values_list("engine")
        counted = named.annotate(n=Count("pk"), first=Min("created_at"), first_due=Min("run_at", filter=due))
        for engine, count, oldest, overdue in counted:
            found[engine].add(count, oldest, overdue if state == State.QUEUED else None)
    return found


def _dead_letters(using: str) -> Metric:
    rows = newest(WorkItem.objects.using(using).filter(state=State.FAILED, state__gt="")).rows.order_by()
    counted = rows.filter(acknowledged_at=None).values_list("engine").annotate(Count("pk"))
    about = f"Dead letters that nobody has acknowledged, among the newest {COUNTED} that failed."
    values: dict[Labels, float] = {(("engine", engine),): count for engine, count in counted}
    return Metric(name="roost_dead_letters", about=about, values=values)


# What happened --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Happened:
    """What was read of the last minutes."""

    counts: dict[Labels, float] = field(default_factory=lambda: defaultdict(float))
    durations: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    estimated: bool = False


def _recent(using: str) -> Iterator[Metric]:
    found = _happened(using)
    quantiles: dict[Labels, float] = {}
    means: dict[Labels, float] = {}
    for engine, durations in found.durations.items():
        durations.sort()
        means[("engine", engine),] = sum(durations) / len(durations)
        for share in QUANTILES:
            at = min(len(durations) - 1, int(share * len(durations)))
            quantiles[("engine", engine), ("quantile", f"{share:g}")] = durations[at]
    window = f"the last {MINUTES} minutes"
    about = f"Events of {window}: step, retry, done, failed, recovered (a worker was lost), and so on."
    yield Metric(name="roost_recent_events", about=about, values={key: round(n) for key, n in found.counts.items()})
    about = f"Seconds that steps took that were committed in {window}."
    yield Metric(name="roost_recent_step_seconds", about=about, values=quantiles)
    yield Metric(name="roost_recent_step_seconds_mean", about=f"Their mean in {window}.", values=means)
    about = f"1 when there were so many events in {window} that only a part was read."
    yield metric("roost_recent_estimated", about, int(found.estimated))
    yield metric("roost_recent_window_seconds", "Seconds that all `recent` metrics are about.", MINUTES * 60)


def _happened(using: str) -> _Happened:
    now = clock.now(using)
    marks = [now - dt.timedelta(minutes=MINUTES - number) for number in range(MINUTES)] + [
        now + dt.timedelta(minutes=1)
    ]
    spans = pulse.spans_between(marks, using)
    found = _Happened(estimated=any(span.end < span.high for span in spans.values()))
    for number, kind, duration, engine in _events(spans.values(), using):
        found.counts[("engine", engine or ""), ("kind", kind)] += spans[number].factor
        if kind == EventKind.STEP and duration is not None:
            found.durations[engine or ""].append(duration)
    return found


def _events(spans: Iterable[pulse.Span], using: str) -> list[Sequence[Any]]:
    params = [value for span in spans for value in pulse.bounds(span, using)]
    if not params:
        return []
    with connections[using].cursor() as cursor:
        cursor.execute(" UNION ALL ".join([EVENTS_SQL] * (len(params) // 5)), params)
        rows: list[Sequence[Any]] = cursor.fetchall()
    return rows


# Workers, people, the database ----------------------------------------------------------------------------------------


def _workers(using: str) -> Iterator[Metric]:
    views = workers.views(using=using)
    ready = [view for view in views if view.takes_work]
    silent = sum(not view.alive for view in views)
    states: dict[Labels, float] = {
        (("status", "ready"),): len(ready),
        (("status", "draining"),): len(views) - len(ready) - silent,
        (("status", "silent"),): silent,
    }
    about = "Worker processes: ready for work, draining, or silent for three heartbeats without having stopped."
    yield Metric(name="roost_workers", about=about, values=states)
    yield metric("roost_worker_capacity", "Items that ready workers can hold.", sum(v.worker.capacity for v in ready))
    yield metric("roost_worker_running", "Items that workers hold.", sum(view.running for view in views))
    expired = attention.expired_leases(using=using).value
    yield metric("roost_leases_expired", "Leases that are over and not yet swept.", expired)


def _waiting(using: str) -> Iterator[Metric]:
    asks = attention.open_asks(using=using)
    kinds: dict[Labels, float] = {
        (("kind", "approval"),): asks.approvals.value,
        (("kind", "input"),): asks.inputs.value,
    }
    yield Metric(name="roost_asks_open", about="What people are asked and have not answered.", values=kinds)
    yield metric("roost_waits_expiring", "Open waits whose time ends within the hour.", asks.soon.value)


def _postgres(using: str) -> Iterator[Metric]:
    usage = doctor_postgres.notify_usage(using)
    yield metric("roost_notify_queue_usage", "Share of PostgreSQL's NOTIFY queue that is full, 0 to 1.", usage)
    held = max((holder.transactions for holder in vacuum.holders(using)), default=0)
    yield metric("roost_vacuum_held_transactions", "Transactions since which somebody holds back vacuum.", held)


def _earlier(one: dt.datetime | None, other: dt.datetime | None) -> dt.datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)


def _seconds(now: dt.datetime, at: dt.datetime | None) -> float:
    return 0.0 if at is None else round(max(0.0, (now - at).total_seconds()), 3)
