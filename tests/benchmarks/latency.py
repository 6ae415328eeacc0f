"""How long until an idle worker begins, and until another takes over from a dead one."""

from __future__ import annotations

import statistics
import uuid

from django.db import connection

from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue
from tests.benchmarks.measure import Bench, Figure, Measure, rounds
from tests.processes.fleet import all_in, kill_holder

WARM_UP = 10


def take_first_step(bench: Bench) -> dict[str, list[float]]:
    """Return milliseconds from an item's enqueue to the begin of its first step by an idle worker.

    The begin is the commit of that step less how long the step ran, so the claim's whole round trip is in it.
    """
    count = bench.scale(300)

    def once() -> dict[str, float]:
        bench.empty()
        fleet = bench.fleet()
        try:
            fleet.start("--engines", "hop")
            ids: list[uuid.UUID] = []
            for _ in range(count + WARM_UP):
                ids.append(enqueue("hop", {"steps": 1}).pk)
                fleet.wait(5, all_in("done", pk=ids[-1]), "the item")
        finally:
            fleet.stop()
        waits = _waits(ids[WARM_UP:])
        return {f"first_step_p{percent}_ms": _percentile(waits, percent) for percent in (50, 99)}

    return rounds(bench, once)


def _waits(ids: list[uuid.UUID]) -> list[float]:
    created = dict(WorkItem.objects.values_list("pk", "created_at"))
    begun = {
        item: at.timestamp() - (duration or 0.0)
        for item, at, duration in Event.objects.filter(kind="step").values_list("work_item", "created_at", "duration")
    }
    return sorted((begun[pk] - created[pk].timestamp()) * 1000 for pk in ids)


def _percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def take_recovery(bench: Bench) -> dict[str, list[float]]:
    """Return the 95th percentile of seconds from a SIGKILL in the middle of a step to the item's next claim."""
    kills = bench.scale(20, quick=8)

    def once() -> dict[str, float]:
        bench.empty()
        fleet = bench.fleet()
        gaps: list[float] = []
        try:
            fleet.start("--processes", "2", "--engines", "hop")
            for _ in range(kills):
                item = enqueue("hop", {"steps": 2, "sleep": 0.3}).pk
                kill_holder(item)
                killed = _database_time()
                fleet.wait(20, all_in("done", pk=item), "the recovery")
                after = Event.objects.filter(work_item=item, kind="claimed").order_by("-seq").first()
                assert after is not None
                gaps.append(after.created_at.timestamp() - killed)
        finally:
            fleet.stop()
        return {"recovery_p95_s": statistics.quantiles(gaps, n=20, method="inclusive")[-1]}

    return rounds(bench, once)


def _database_time() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


MEASURES = [
    Measure(
        take=take_first_step,
        figures={"first_step_p50_ms": Figure(unit="ms"), "first_step_p99_ms": Figure(unit="ms")},
    ),
    Measure(take=take_recovery, figures={"recovery_p95_s": Figure(unit="s")}),
]
