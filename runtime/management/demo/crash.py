"""Kill workers, busy ones and idle ones, and measure the time until an item's next step.

    busy    the worker that holds an item is killed in the middle of a step; from there to the item's next commit,
            the length of that step included
    idle    a worker that holds nothing is killed and an item enqueued in the same instant; from there to its commit

Times are the database's. Works in the namespace and worker pool `roost-demo`, beside whatever else is there.
"""

from __future__ import annotations

import datetime as dt
import math
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime import clock
from runtime.choices import TERMINAL, EventKind, State
from runtime.exceptions import InvalidInput
from runtime.management.demo.fleet import DemoFailed, Fleet, cleaning_up_on_sigterm
from runtime.management.roost.call import Call
from runtime.models import Event, Lease, Worker, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries import verify

ROUNDS = 20
LANE = "roost-demo"
STEPS, STEP_SECONDS, KILL_AFTER = 6, 0.25, 2
BUDGET_SECONDS = 2.0
WAIT_SECONDS = 30.0


def measure(call: Call, *, rounds: int) -> None:
    """Kill `rounds` busy and `rounds` idle workers; raises `DemoFailed` if work was lost, doubled or slow to go on."""
    if rounds < 1:
        raise InvalidInput(f"--crash {rounds}: there must be at least one round.", field="crash")
    with cleaning_up_on_sigterm(), tempfile.TemporaryDirectory(prefix="roost-crash-") as folder:
        log = Path(folder) / "runworker.log"
        with Fleet("--processes", "2", "--pools", LANE, log=log, using=call.using) as fleet:
            bench = _Bench(call, fleet)
            busy = _Figures("busy", [bench.kill_busy(n) for n in range(1, rounds + 1)])
            idle = _Figures("idle", [bench.kill_idle(n) for n in range(1, rounds + 1)])
            bench.finish()
    _report(call, bench, busy, idle)


class _Bench:
    """Kills workers of its fleet and keeps the items that they worked on."""

    def __init__(self, call: Call, fleet: Fleet) -> None:
        self.call = call
        self.using = call.using
        self.fleet = fleet
        self.items: list[uuid.UUID] = []
        self.lost = self.doubled = 0
        self.problems: list[str] = []

    def kill_busy(self, n: int) -> float:
        """Kill the holder of an item half a step after its second commit; return the seconds to its third."""
        self.fleet.until_ready(2)
        item = self._enqueue({"count_to": STEPS, "sleep": STEP_SECONDS})
        lease = self.fleet.until(lambda: self._lease(item), WAIT_SECONDS, f"step {KILL_AFTER} of item {item}")
        time.sleep(STEP_SECONDS / 2)
        now = clock.now(self.using)
        self.fleet.kill(lease.worker)
        version = WorkItem.objects.using(self.using).values_list("version", flat=True).get(pk=item)
        return self._seconds_to_step(n, "busy", lease.worker, item, version + 1, now)

    def kill_idle(self, n: int) -> float:
        """Kill a worker that holds nothing, enqueue an item, and return the seconds to its commit."""
        self.fleet.until(self._is_quiet, WAIT_SECONDS, "an idle fleet")
        worker = self.fleet.until_ready(2)[n % 2]
        now = clock.now(self.using)
        self.fleet.kill(worker)
        item = self._enqueue({"count_to": 1})
        return self._seconds_to_step(n, "idle", worker, item, 1, now)

    def _enqueue(self, payload: dict[str, Any]) -> uuid.UUID:
        made = enqueue("counter", payload, namespace=LANE, pool=LANE, actor=self.call.actor, using=self.using)
        self.items.append(made.pk)
        return made.pk

    def _lease(self, item: uuid.UUID) -> Lease | None:
        found = Lease.objects.using(self.using).filter(pk=item, work_item__version__gte=KILL_AFTER)
        return found.select_related("worker").first()

    def _is_quiet(self) -> bool:
        live = WorkItem.objects.using(self.using).filter(pk__in=self.items).exclude(state__in=TERMINAL)
        return not live.exists()

    def _seconds_to_step(
        self, n: int, kind: str, worker: Worker, item: uuid.UUID, version: int, since: dt.datetime
    ) -> float:
        def committed() -> Event | None:
            told = Event.objects.using(self.using).filter(work_item=item, version=version, kind=EventKind.STEP)
            return told.first()

        step = self.fleet.until(committed, WAIT_SECONDS, f"step {version} of item {item}")
        took = (step.created_at - since).total_seconds()
        self.call.printer.line(f"{kind} {n:3}  killed {worker.pid}, step {version} committed after {took:.3f} s")
        return took

    def finish(self) -> None:
        """Let every item end, then look for steps that are missing or doubled."""
        self.fleet.until(self._is_quiet, WAIT_SECONDS, "the end of all items")
        for item in WorkItem.objects.using(self.using).filter(pk__in=self.items):
            wanted = list(range(1, item.payload["count_to"] + 1))
            told = Event.objects.using(self.using).filter(work_item=item, kind=EventKind.STEP).order_by("seq")
            steps = list(told.values_list("version", flat=True))
            self.lost += item.state != State.DONE or not set(wanted) <= set(steps)
            self.doubled += len(steps) - len(set(steps))
            self.problems += [f"{item.pk}: {found.text}" for found in verify.item(item.pk, using=self.using)]


class _Figures:
    """Quantiles of seconds."""

    def __init__(self, name: str, seconds: Sequence[float]) -> None:
        self.name = name
        self.rounds = len(seconds)
        ordered = sorted(seconds)
        self.p50, self.p95 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
        self.max = ordered[-1]

    def to_json(self) -> dict[str, Any]:
        return {"rounds": self.rounds, **{name: round(getattr(self, name), 3) for name in ("p50", "p95", "max")}}


def _report(call: Call, bench: _Bench, *figures: _Figures) -> None:
    call.printer.document(
        {
            "recovery_seconds": {one.name: one.to_json() for one in figures},
            "items": len(bench.items),
            "lost": bench.lost,
            "doubled": bench.doubled,
            "problems": bench.problems,
        }
    )
    rows = ((one.name, one.rounds, *(f"{value:.3f}" for value in (one.p50, one.p95, one.max))) for one in figures)
    call.printer.line()
    call.printer.table(("killed while", "rounds", "p50 s", "p95 s", "max s"), rows, empty="")
    call.printer.line(f"{len(bench.items)} items: lost {bench.lost}, doubled {bench.doubled}")
    for problem in bench.problems:
        call.printer.line(problem)
    slow = [one.name for one in figures if one.p95 > BUDGET_SECONDS]
    if bench.lost or bench.doubled or bench.problems or slow:
        late = f"; slower than {BUDGET_SECONDS:g} s (p95): {', '.join(slow)}" if slow else ""
        raise DemoFailed(f"Lost {bench.lost}, doubled {bench.doubled}, broken invariants {len(bench.problems)}{late}.")
