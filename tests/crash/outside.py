"""Play a scenario with real processes, a worker's and an operator's, that are killed at a point.

They are forked from a server that has everything loaded, so that each costs a fraction of a second.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.crash.scenario import Scenario, World

PATIENCE = 45.0
LOOK_SECONDS = 0.01
CONTEXT = multiprocessing.get_context("forkserver")


@contextmanager
def serving(environment: dict[str, str]) -> Iterator[None]:
    """Run the server that processes are forked from, with these variables in its environment."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        CONTEXT.set_forkserver_preload(["tests.crash.loaded"])
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    try:
        yield
    finally:
        forkserver._forkserver._stop()  # type: ignore[attr-defined] # nothing public ends it before this process


def play(scenario: Scenario, world: World, plan: str, once: Path) -> bool:
    """Let a worker and an operator work until it is over; return whether one of them was killed as planned.

    Whoever ends is replaced. Raises `AssertionError` when it is never over.
    """
    scenario.prepare(world)
    from django.db import connections

    connections.close_all()
    worker = _start(work, plan)
    operator = _start(operate, plan, scenario.name, world)
    give_up_at = time.monotonic() + PATIENCE
    try:
        while operator.exitcode != 0:
            assert time.monotonic() < give_up_at, f"{scenario.name} does not end"
            if not worker.is_alive():
                worker = _start(work, plan)
            if operator.exitcode:
                operator = _start(operate, plan, scenario.name, world)
            time.sleep(LOOK_SECONDS)
    finally:
        _end(operator)
        _end(worker, gently=True)
    return once.exists()


def _start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def _end(process: BaseProcess, *, gently: bool = False) -> None:
    if gently and process.is_alive():
        process.terminate()
        process.join(10)
    process.kill()
    process.join()


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
