"""Whether throughput holds while a million items wait, and while somebody keeps a transaction open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection

from runtime.models import Event
from tests.benchmarks.measure import PATIENCE, Bench, Figure, Measure, rounds
from tests.benchmarks.steps import STEPS, fill
from tests.processes.fleet import database_url

ITEMS = 30_000
MOST_STEPS_A_SECOND = 32_000
# The rate at which items ended, from the 1,000th (all processes are at work) to the last of the load.
ENDED_SQL = """
SELECT extract(epoch FROM max(created_at) - min(created_at))
FROM (
    SELECT created_at FROM roost_event WHERE kind = 'done' AND id > %s ORDER BY created_at OFFSET 1000 LIMIT %s
) ended
"""


def take_growth(bench: Bench) -> dict[str, list[float]]:
    """Return single-step items a second with many more pending, over the same with 1,000 pending at the end.

    The runs with few pending are made before and after, so that a machine whose speed drifts is no difference.
    """
    pending, count = bench.scale(1_000_000, quick=100_000), bench.scale(ITEMS)
    before = _with_few(bench, count)
    bench.empty()
    bench.say(f"enqueueing {pending:,} items …")
    fill("hop", pending + bench.runs * (count + 1000), 1)
    bench.settle()
    many = [_ended_a_second(bench, count) for _ in range(bench.runs)]
    few = [(first + last) / 2 for first, last in zip(before, _with_few(bench, count), strict=True)]
    for with_few, with_many in zip(few, many, strict=True):
        bench.say(f"1,000 pending: {with_few:,.0f} items/s, {pending:,}: {with_many:,.0f}")
    return {"backlog_1m_ratio": [with_many / with_few for with_few, with_many in zip(few, many, strict=True)]}


def _with_few(bench: Bench, count: int) -> list[float]:
    found = []
    for _ in range(bench.runs):
        bench.empty()
        fill("hop", count + 1000, 1)
        bench.settle()
        found.append(_ended_a_second(bench, count))
    return found


def _ended_a_second(bench: Bench, count: int) -> float:
    last = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    fleet = bench.fleet()
    try:
        fleet.start("--engines", "hop", "--processes", "2")
        fleet.wait(PATIENCE, _ended(last, count), "the load")
    finally:
        fleet.stop()
    with connection.cursor() as cursor:
        cursor.execute(ENDED_SQL, [last, count - 1000])
        return (count - 1000) / float(cursor.fetchone()[0])


def _ended(last: int, count: int) -> Callable[[], bool]:
    def look() -> bool:
        time.sleep(0.2)
        return Event.objects.filter(kind="done", pk__gt=last).count() >= count

    return look


def take_held_xmin(bench: Bench) -> dict[str, list[float]]:
    """Return steps a second in the last third of a run beside an open transaction, over a run without one."""
    seconds = bench.scale(180, quick=12)

    def once() -> dict[str, float]:
        free = _late_rate(bench, seconds)
        with _open_transaction():
            held = _late_rate(bench, seconds)
        bench.say(f"last third of {seconds} s: {free:,.0f} steps/s, {held:,.0f} beside an open transaction")
        return {"held_xmin_ratio": held / free}

    return rounds(bench, once)


def _late_rate(bench: Bench, seconds: float) -> float:
    """Run the usual 20-step items for so long; return the steps a second of the last third."""
    bench.empty()
    fill("hop", int(seconds * MOST_STEPS_A_SECOND / STEPS), STEPS)
    bench.settle()
    fleet = bench.fleet()
    try:
        fleet.start("--engines", "hop", "--processes", "2")
        time.sleep(seconds * 2 / 3)
        before, start = _steps_so_far(), time.perf_counter()
        time.sleep(seconds / 3)
        return (_steps_so_far() - before) / (time.perf_counter() - start)
    finally:
        fleet.stop()


def _steps_so_far() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(steps_total) FROM roost_workitem")
        return int(cursor.fetchone()[0])


@contextmanager
def _open_transaction() -> Iterator[None]:
    with psycopg.connect(database_url()) as forgotten:
        # Holds back every vacuum, and locks no table.
        forgotten.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        forgotten.execute("SELECT 1")
        yield
        forgotten.rollback()


MEASURES = [
    Measure(take=take_growth, figures={"backlog_1m_ratio": Figure(unit="ratio")}),
    Measure(take=take_held_xmin, figures={"held_xmin_ratio": Figure(unit="ratio")}),
]
