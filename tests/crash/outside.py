"""Play a scenario with real processes, a worker's and an operator's, that are killed at a point.

They come from the nursery, so that each costs a fraction of a second.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.crash.scenario import Scenario, World
from tests.processes import nursery
from tests.processes.nursery import Forked

PATIENCE = 45.0
LOOK_SECONDS = 0.01
Environment = dict[str, str]


def play(scenario: Scenario, world: World, plan: str, once: Path, environment: Environment) -> bool:
    """Let a worker and an operator work until it is over; return whether one of them was killed, or failed, as planned.

    Whoever ends is replaced. Raises `AssertionError` when it is never over.
    """
    scenario.prepare(world)
    from django.db import connections

    connections.close_all()
    worker = nursery.start(work, plan, environment=environment)
    operator = nursery.start(operate, plan, scenario.name, world, environment=environment)
    give_up_at = time.monotonic() + PATIENCE
    try:
        while operator.poll() != 0:
            assert time.monotonic() < give_up_at, f"{scenario.name} does not end"
            if worker.poll() is not None:
                worker = nursery.start(work, plan, environment=environment)
            if operator.poll():
                operator = nursery.start(operate, plan, scenario.name, world, environment=environment)
            time.sleep(LOOK_SECONDS)
    finally:
        _end(operator)
        _end(worker, gently=True)
    return once.exists()


def _end(process: Forked, *, gently: bool = False) -> None:
    if gently:
        process.terminate()
        process.process.join(10)
    process.kill()
    process.wait()


def work(plan: str) -> None:
    """Be a worker, in a process of its own."""
    from runtime.faults import Plan
    from runtime.worker.stop import StopToken
    from tests.crash.inside import drain_with, followed

    with followed(Plan.parse(plan)), StopToken() as token:
        drain_with(token)


def operate(plan: str, name: str, world: World) -> None:
    """Be the operator, in a process of his own."""
    from runtime.faults import Plan
    from tests.crash.inside import followed
    from tests.crash.inside import operate as until_over
    from tests.crash.scenarios import SCENARIOS

    with followed(Plan.parse(plan)):
        until_over(SCENARIOS[name], world, PATIENCE)
