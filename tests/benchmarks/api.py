"""How the API stands up to many clients at once: 200 that enqueue and wait for results by long poll."""

from __future__ import annotations

import asyncio
import statistics
import threading

import psutil

from runtime import tokens
from runtime.models import WorkItem
from runtime.operations.tokens import create_token
from tests.benchmarks.clients import TERMINAL, Told, crowd
from tests.benchmarks.cpu import Spent, postmaster
from tests.benchmarks.measure import Bench, Figure, Measure, rounds
from tests.processes.fleet import Fleet, database_url
from tests.serving import serving

CLIENTS = 200
WEB_PROCESSES = 2
POOL = 5
MIB = 1024 * 1024
LEFT_SECONDS = 30.0
WARM_SECONDS = 4.0
WAITERS = CLIENTS
"""Who waits gives its connection back to the pool, so a process may have as many as come."""


def take_api(bench: Bench) -> dict[str, list[float]]:
    """Return the 95th percentile of an enqueue, what went wrong, what was lost, and what a web process grew by."""
    seconds = bench.scale(60, quick=15)
    made = create_token("bench", scopes=["enqueue", "read", "payload"], namespaces=[tokens.EVERYWHERE])

    def once() -> dict[str, float]:
        bench.empty()
        fleet = bench.fleet()
        settings = {"API_WAITERS": WAITERS, "API_REQUESTS_PER_MINUTE": 10_000_000}
        environment = {f"ROOST_PROCESS_SET_{name}": str(value) for name, value in settings.items()}
        environment["ROOST_PROCESS_DATABASE_URL"] = _pooled(database_url())
        try:
            # Each client has an item in work.
            worker = fleet.start("--engines", "hop", "--concurrency", str(CLIENTS))
            with serving(bench.folder / "web.log", "--workers", str(WEB_PROCESSES), **environment) as (url, first):
                # A process imports what it needs with its first requests.
                warm = asyncio.run(crowd(url, made.text, clients=4 * WEB_PROCESSES, seconds=WARM_SECONDS, name="warm"))
                sizes = Sizes(psutil.Process(first.pid))
                spent = Spent({"web": first.pid, "worker": worker.pid, **postmaster()})
                with sizes, spent:
                    told = asyncio.run(crowd(url, made.text, clients=CLIENTS, seconds=seconds))
            lost = _lost(fleet, told)
        finally:
            fleet.stop()
        bench.say(f"{len(told.accepted)} items by {CLIENTS} clients in {seconds} s")
        bench.say(f"CPU of an item: {spent.said(len(told.ended))}")
        for error in [*warm.errors, *told.errors][:10]:
            bench.say(error)
        return {
            "api_enqueue_p50_ms": statistics.median(told.enqueued) * 1000,
            "api_enqueue_p95_ms": statistics.quantiles(told.enqueued, n=20, method="inclusive")[-1] * 1000,
            "api_items_per_s": len(told.ended) / seconds,
            "api_errors": len(warm.errors) + len(told.errors),
            "api_lost": lost,
            "api_rss_growth_mb": sizes.growth,
        }

    try:
        return rounds(bench, once)
    finally:
        made.row.delete()


def _pooled(url: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}pool={POOL}"


def _lost(fleet: Fleet, told: Told) -> int:
    """Return how many items that were accepted did not come to an end, or whose end nobody was told."""

    def missing() -> int:
        return len(told.accepted) - WorkItem.objects.filter(pk__in=told.accepted, state__in=TERMINAL).count()

    try:
        fleet.wait(LEFT_SECONDS, lambda: not missing(), "an end of what was accepted")
    except AssertionError:
        return missing()
    return len(told.accepted - told.ended)


class Sizes:
    """The resident memory of the web processes, looked at once a second while the block runs.

    `growth` is what the largest one added after the first fifth of the time, in which threads and caches are made.
    """

    def __init__(self, first: psutil.Process) -> None:
        self._first = first
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._seen: list[dict[int, float]] = []

    def __enter__(self) -> Sizes:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self._seen.append({one.pid: one.memory_info().rss / MIB for one in self._first.children(recursive=True)})

    @property
    def growth(self) -> float:
        """MiB that the process which grew most has added since."""
        early = max(1, len(self._seen) // 5)
        pids = self._seen[-1].keys() if self._seen else ()
        return max(
            (self._most(pid, self._seen[early:]) - self._most(pid, self._seen[:early]) for pid in pids), default=0
        )

    @staticmethod
    def _most(pid: int, looks: list[dict[int, float]]) -> float:
        return max((look.get(pid, 0.0) for look in looks), default=0.0)


MEASURES = [
    Measure(
        take=take_api,
        figures={
            "api_enqueue_p50_ms": Figure(unit="ms"),
            "api_enqueue_p95_ms": Figure(unit="ms"),
            "api_items_per_s": Figure(unit="items/s"),
            "api_errors": Figure(unit="errors"),
            "api_lost": Figure(unit="items"),
            "api_rss_growth_mb": Figure(unit="MiB"),
        },
    ),
]
