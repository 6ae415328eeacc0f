"""What limits and fairness cost, and how fair the fair claim is."""

from __future__ import annotations

from django.db import connection

from runtime.models import Limit
from runtime.operations.enqueue_many import enqueue_many
from tests.benchmarks.measure import PATIENCE, Bench, Figure, Measure, rounds
from tests.benchmarks.steps import MAX_BULK, all_done, rate

ITEMS = 40_000
KEYS = 50
EACH = 40
"""Items of the smallest backlog; the largest is 50 times that."""

FIRST_SQL = """
SELECT count(*) FROM (
    SELECT w.fair_key FROM roost_event e JOIN roost_workitem w ON w.id = e.work_item_id
    WHERE e.kind = 'claimed' ORDER BY e.id LIMIT %s
) first
GROUP BY fair_key
"""


def take_cost(bench: Bench) -> dict[str, list[float]]:
    """Return the share of single-step items a second that a cap costs which never binds, and that fair keys cost."""

    def once() -> dict[str, float]:
        count = bench.scale(ITEMS, quick=12_000)
        # Each between two plain runs: a machine whose speed drifts would charge the drift to whoever comes last.
        first = _rate(bench, count, keys=0)
        fair = _rate(bench, count, keys=KEYS)
        second = _rate(bench, count, keys=0)
        capped = _rate(bench, count, keys=0, cap=1000)
        third = _rate(bench, count, keys=0)
        return {"limits_cost": 1 - 2 * capped / (second + third), "fairness_cost": 1 - 2 * fair / (first + second)}

    return rounds(bench, once)


def take_fairness(bench: Bench) -> dict[str, list[float]]:
    """Return the Jain index of what 50 keys with very unequal backlogs got while each had work."""

    def once() -> dict[str, float]:
        bench.empty()
        backlog = [number for number in range(KEYS) for _ in range(EACH * (number + 1))]
        # The largest backlog was there first.
        _fill([f"key-{number}" for number in reversed(backlog)])
        _run(bench)
        with connection.cursor() as cursor:
            cursor.execute(FIRST_SQL, [KEYS * EACH // 2])
            shares = [row[0] for row in cursor.fetchall()]
        shares += [0] * (KEYS - len(shares))
        return {"fairness_jain": sum(shares) ** 2 / (KEYS * sum(share**2 for share in shares))}

    return rounds(bench, once)


def _rate(bench: Bench, count: int, *, keys: int, cap: int | None = None) -> float:
    bench.empty()
    if cap is not None:
        Limit.objects.create(name="bench", engine="hop", concurrency=cap)
    _fill([f"key-{number % keys}" if keys else "" for number in range(count)])
    _run(bench)
    return rate()


def _fill(keys: list[str]) -> None:
    for start in range(0, len(keys), MAX_BULK):
        part = keys[start : start + MAX_BULK]
        enqueue_many([{"engine": "hop", "payload": {"steps": 1}, "fair_key": key} for key in part])


def _run(bench: Bench) -> None:
    bench.settle()
    fleet = bench.fleet()
    try:
        fleet.start("--engines", "hop", "--processes", "2")
        fleet.wait(PATIENCE, all_done, "the load")
    finally:
        fleet.stop()


MEASURES = [
    Measure(take=take_cost, figures={"limits_cost": Figure(unit="share"), "fairness_cost": Figure(unit="share")}),
    Measure(take=take_fairness, figures={"fairness_jain": Figure(unit="index")}),
]
