"""How many items a second can be enqueued."""

from __future__ import annotations

import time

from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from tests.benchmarks.measure import Bench, Figure, Measure, rounds


def take_bulk(bench: Bench) -> dict[str, list[float]]:
    """Return items a second when 10,000 different ones are enqueued at once."""
    items = [{"engine": "hop", "payload": {"steps": 1, "n": number}} for number in range(10_000)]

    def once() -> dict[str, float]:
        bench.empty()
        enqueue_many(items[:100])
        start = time.perf_counter()
        enqueue_many(items)
        return {"enqueue_bulk": len(items) / (time.perf_counter() - start)}

    return rounds(bench, once)


def take_single(bench: Bench) -> dict[str, list[float]]:
    """Return items a second when each is enqueued in a transaction of its own."""
    count = bench.scale(3000)

    def once() -> dict[str, float]:
        bench.empty()
        for number in range(50):
            enqueue("hop", {"steps": 1, "n": number})
        start = time.perf_counter()
        for number in range(count):
            enqueue("hop", {"steps": 1, "n": number})
        return {"enqueue_single": count / (time.perf_counter() - start)}

    return rounds(bench, once)


MEASURES = [
    Measure(take=take_bulk, figures={"enqueue_bulk": Figure(unit="items/s")}),
    Measure(take=take_single, figures={"enqueue_single": Figure(unit="items/s")}),
]
