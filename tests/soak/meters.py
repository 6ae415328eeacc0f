"""Measure what a run came to: how quickly work was taken up again, memory, and what the tables waste."""

from __future__ import annotations

import datetime as dt
import math
import statistics
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import psutil
from django.db import connection

from runtime.choices import EventKind
from runtime.models import Event
from tests.soak.injuries import Injuries, Loss, Outage

MIB = 1024 * 1024
NEAR = dt.timedelta(seconds=2)
"""A process that is killed so shortly before an outage comes back with the database, not before it."""
SETTLED = 0.2
"""Share of a run after which a process has grown to its size."""
TABLES = """
SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class c
WHERE c.relkind = 'r' AND c.relname LIKE 'roost\\_%' AND c.relnamespace = 'public'::regnamespace ORDER BY 1
"""


@dataclass(frozen=True, kw_only=True)
class Times:
    """How long something took, in seconds: percentiles of `count` times."""

    count: int
    p50: float = 0.0
    p95: float = 0.0
    most: float = 0.0

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} s, p95 {self.p95:.2f} s, at most {self.most:.2f} s ({self.count} items)"


def times(seconds: Iterable[float]) -> Times:
    """Sum some times up."""
    found = sorted(seconds)
    if not found:
        return Times(count=0)
    p50, p95 = (found[math.ceil(share * len(found)) - 1] for share in (0.5, 0.95))
    return Times(count=len(found), p50=p50, p95=p95, most=found[-1])


def recoveries(injuries: Injuries) -> dict[str, Times]:
    """Return how long it took until items ran again: those of killed processes, of stopped ones, and after outages."""
    alone, around = [], [seconds for outage in injuries.outages for seconds in _after_outage(outage, injuries)]
    for loss in injuries.kills:
        outage = next((one for one in injuries.outages if one.began - NEAR <= loss.at <= one.ended), None)
        since = loss.at if outage is None else max(loss.at, outage.ended)
        (alone if outage is None else around).extend(_run_again(loss, since))
    stopped = [seconds for loss in injuries.stops for seconds in _run_again(loss, loss.at)]
    return {"killed": times(alone), "restart": times(around), "stopped": times(stopped)}


def _run_again(loss: Loss, since: dt.datetime) -> Iterable[float]:
    """Say of each item that was taken from the worker when it was claimed again."""
    events = Event.objects.filter(work_item__in=loss.held, created_at__gte=since).order_by("work_item", "seq")
    taken: dict[uuid.UUID, bool] = {}
    for item, kind, worker, at in events.values_list("work_item", "kind", "worker", "created_at"):
        if kind == EventKind.RECOVERED and worker == loss.worker:
            taken.setdefault(item, True)
        elif kind == EventKind.CLAIMED and taken.get(item):
            taken[item] = False
            yield (at - since).total_seconds()


def _after_outage(outage: Outage, injuries: Injuries) -> Iterable[float]:
    """Say of each item that was running when the next thing happened to it, whoever did it.

    Workers that were killed or stood still meanwhile are left out: they are counted elsewhere.
    """
    hurt = {loss.worker for loss in (*injuries.kills, *injuries.stops) if loss.at <= outage.ended + NEAR}
    held = [item for item, worker in outage.held.items() if worker not in hurt]
    seen = set()
    events = Event.objects.filter(work_item__in=held, created_at__gte=outage.ended).order_by("work_item", "seq")
    for item, at in events.values_list("work_item", "created_at"):
        if item not in seen:
            seen.add(item)
            yield (at - outage.ended).total_seconds()


class Scales:
    """Weighs processes, time and again."""

    def __init__(self) -> None:
        self._weights: dict[int, list[int]] = {}

    def weigh(self, pids: Iterable[int]) -> None:
        """Note how much memory each of them has now."""
        for pid in pids:
            try:
                self._weights.setdefault(pid, []).append(psutil.Process(pid).memory_info().rss)
            except psutil.NoSuchProcess:
                self._weights.pop(pid, None)

    def told(self) -> dict[str, float]:
        """Return what the process that lived longest had once settled and at the end, in MiB."""
        series = max(self._weights.values(), key=len, default=[])
        if len(series) < 3:
            return {"weighed": len(series)}
        early = series[int(SETTLED * len(series))]
        late = statistics.median(series[-3:])
        return {"settled": early / MIB, "end": late / MIB, "growth": (late - early) / MIB, "weighed": len(series)}


def bloat() -> dict[str, tuple[float, float]]:
    """Write every table anew; return how large it was, and how large it is without what was dead, in MiB."""
    before = _sizes()
    with connection.cursor() as cursor:
        for table in before:
            cursor.execute(f"VACUUM (FULL, ANALYZE) {connection.ops.quote_name(table)}")
    after = _sizes()
    return {table: (before[table] / MIB, after[table] / MIB) for table in before}


def _sizes() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(TABLES)
        return dict(cursor.fetchall())
