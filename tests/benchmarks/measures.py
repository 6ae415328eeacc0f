"""The figures, each taken from the database's own times where it can be."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from tests.benchmarks import floors
from tests.processes.fleet import Fleet, all_in, kill_holder

STEPS = 20
PATIENCE = 300


class Bench:
    """What the figures share: how much to do, where to log, and the floors, measured once."""

    def __init__(self, *, quick: bool, folder: Path) -> None:
        self.quick = quick
        self.folder = folder
        self._floors: dict[str, float] = {}

    def scale(self, count: int) -> int:
        """Return how many to do: a third in a quick run."""
        return max(1, count // 3) if self.quick else count

    def floor(self, name: str) -> float:
        """Return what raw psycopg reaches, in rows a second."""
        if name not in self._floors:
            self._floors[name] = floors.FLOORS[name](self.scale(6) / 2)
        return self._floors[name]

    def empty(self) -> None:
        """Forget the rows of earlier runs."""
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE roost_workitem, roost_worker, roost_resource, ledger_entry CASCADE")
            cursor.execute("VACUUM ANALYZE")

    def fleet(self) -> Fleet:
        """Return workers to start."""
        return Fleet(self.folder)


def steps_per_second(bench: Bench, *, engine: str, items: int, steps: int, processes: int) -> float:
    """Enqueue items, start workers, and return steps a second between the first and the last commit."""
    bench.empty()
    enqueue_many([{"engine": engine, "payload": {"steps": steps}} for _ in range(items)])
    fleet = bench.fleet()
    try:
        for _ in range(processes):
            fleet.start("--engines", engine)
        fleet.wait(PATIENCE, _all_done(items), "the load")
    finally:
        fleet.stop()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), extract(epoch FROM max(created_at) - min(created_at)) FROM roost_event"
            " WHERE kind = 'step'"
        )
        count, seconds = cursor.fetchone()
    assert count == items * steps, f"{count} steps instead of {items * steps}"
    return float(count) / float(seconds)


def _all_done(items: int) -> Callable[[], bool]:
    def look() -> bool:
        time.sleep(0.1)
        return WorkItem.objects.filter(state="done").count() == items

    return look


def enqueue_bulk(bench: Bench) -> float:
    """Return items a second when 10,000 are enqueued at once."""
    bench.empty()
    items = [{"engine": "hop", "payload": {"steps": 1, "n": number}} for number in range(10_000)]
    start = time.perf_counter()
    enqueue_many(items)
    return len(items) / (time.perf_counter() - start)


def enqueue_single(bench: Bench) -> float:
    """Return items a second when each is enqueued in a transaction of its own."""
    bench.empty()
    count = bench.scale(1500)
    start = time.perf_counter()
    for number in range(count):
        enqueue("hop", {"steps": 1, "n": number})
    return count / (time.perf_counter() - start)


def first_step(bench: Bench, percentile: int) -> float:
    """Return the milliseconds from an enqueue to the claim of its first step by an idle worker."""
    bench.empty()
    fleet = bench.fleet()
    count = bench.scale(300)
    try:
        fleet.start("--engines", "hop")
        ids: list[uuid.UUID] = []
        for _ in range(count):
            ids.append(enqueue("hop", {"steps": 1}).pk)
            fleet.wait(5, all_in("done", pk=ids[-1]), "the item")
    finally:
        fleet.stop()
    claimed = dict(Event.objects.filter(kind="claimed").values_list("work_item", "created_at"))
    created = dict(WorkItem.objects.values_list("pk", "created_at"))
    waits = sorted((claimed[pk] - created[pk]).total_seconds() * 1000 for pk in ids)
    return waits[min(len(waits) - 1, len(waits) * percentile // 100)]


def recovery_p95(bench: Bench) -> float:
    """Return the 95th percentile of seconds from a SIGKILL in the middle of a step to the item's next claim."""
    bench.empty()
    fleet = bench.fleet()
    gaps: list[float] = []
    try:
        fleet.start("--processes", "2")
        for _ in range(20):
            item = enqueue("hop", {"steps": 2, "sleep": 0.5}).pk
            kill_holder(item)
            killed = _database_time()
            fleet.wait(20, all_in("done", pk=item), "the recovery")
            after = Event.objects.filter(work_item=item, kind="claimed").order_by("-seq").first()
            assert after is not None
            gaps.append(after.created_at.timestamp() - killed)
    finally:
        fleet.stop()
    return statistics.quantiles(gaps, n=20)[-1]


def _database_time() -> float:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One figure: how it is taken, its unit, and the floor it is compared with."""

    take: Callable[[Bench], float]
    unit: str
    floor: str = ""


def _steps(engine: str, items: int, steps: int, processes: int, floor: str, unit: str = "steps/s") -> Measure:
    def take(bench: Bench) -> float:
        return steps_per_second(bench, engine=engine, items=bench.scale(items), steps=steps, processes=processes)

    return Measure(take=take, unit=unit, floor=floor)


MEASURES: dict[str, Measure] = {
    "async_steps_1p": _steps("hop", 1500, STEPS, 1, "batched_1p"),
    "async_steps_2p": _steps("hop", 3000, STEPS, 2, "batched_2p"),
    "atomic_steps_2p": _steps("write", 300, STEPS, 2, "single_2p"),
    "single_step_items_2p": _steps("hop", 9000, 1, 2, "batched_2p", "items/s"),
    "single_run_steps": _steps("hop", 1, 3000, 1, "single_1p"),
    "enqueue_bulk": Measure(take=enqueue_bulk, unit="items/s"),
    "enqueue_single": Measure(take=enqueue_single, unit="items/s"),
    "first_step_p50_ms": Measure(take=lambda bench: first_step(bench, 50), unit="ms"),
    "first_step_p99_ms": Measure(take=lambda bench: first_step(bench, 99), unit="ms"),
    "recovery_p95_s": Measure(take=recovery_p95, unit="s"),
}
