"""The matrix: what can happen at each point that a scenario passes, and one run for each of these."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import connection, connections

from runtime import artifacts, faults
from runtime.exceptions import RoostError
from runtime.faults import Plan
from runtime.models import WorkItem
from runtime.operations.requeue import requeue
from runtime.queries import verify
from runtime.testing import expire_leases
from tests import emptying
from tests.crash import inside, outside
from tests.crash.faults import NOT_REACHED
from tests.crash.recorder import Passed, Recorder
from tests.crash.scenario import Scenario, World

PASSES = int(os.environ.get("CRASH_PASSES", "2"))
"""How many of a point's passes are tried; a process is killed at the first."""


TRIES = 3
LOST = ("requeue", "expire")
"""The faults that nobody fails by: the item is lost meanwhile."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One run: what happened where, and what was wrong afterwards (nothing, if it passed)."""

    scenario: str
    point: str
    fault: str
    nth: int
    trouble: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def record(scenario: Scenario, world: World) -> dict[str, Passed]:
    """Play the scenario undisturbed, assert that it comes out right, and return the points it passed."""
    empty()
    recorder = Recorder()
    inside.play(scenario, world, recorder)
    assert trouble(scenario, world) == ""
    return {point: recorder.passed[point] for point in recorder.in_order()}


def record_until(points: set[str], scenario: Scenario, make_world: Callable[[], World]) -> dict[str, Passed]:
    """Record the scenario; again where a point depends on time and was not passed, as on a busy machine."""
    for _ in range(TRIES):
        passed = record(scenario, make_world())
        if points <= passed.keys():
            break
    return passed


def reached(run: Callable[..., Cell], scenario: Scenario, make_world: Callable[[], World], *rest: Any) -> Cell:
    """Run a cell; again where the point depends on time and was not reached."""
    for _ in range(TRIES):
        cell = run(scenario, make_world(), *rest)
        if cell.trouble != NOT_REACHED:
            break
    return cell


def runs(passed: dict[str, Passed], fault: str) -> Iterator[tuple[str, int]]:
    """Go through the points, and passes of them, at which the fault can happen."""
    for point, seen in passed.items():
        for nth in range(1, (1 if fault.startswith("kill") else min(seen.times, PASSES)) + 1):
            if _possible(point, seen, fault, nth):
                yield point, nth


def _possible(point: str, seen: Passed, fault: str, nth: int) -> bool:
    side = point.split(".")[1]
    if fault == "drop":
        # SQLite has no connection that could be lost: its COMMIT is answered by a call in this process.
        return side == "after" and seen.connected and connection.vendor == "postgresql"
    if fault in LOST:
        return side == "before" and not seen.writing[nth - 1]
    return fault.endswith(side)


def try_one(
    scenario: Scenario, world: World, fault: str, point: str, nth: int, folder: Path, environment: outside.Environment
) -> Cell:
    """Run one cell: with a thread that fails, or with a process where only its end frees what it has."""
    if fault.startswith("kill") or (scenario.own_process and fault not in LOST):
        return try_outside(scenario, world, fault, point, nth, folder, environment)
    return try_inside(scenario, world, fault, point, nth)


def try_inside(scenario: Scenario, world: World, fault: str, point: str, nth: int) -> Cell:
    """Run one cell with the worker in a thread of this process."""
    empty()
    plan = Plan(point=point, action=fault.split(maxsplit=1)[0], nth=nth)
    faults.ACTIONS.update(requeue=_elsewhere(_requeue), expire=_elsewhere(expire_leases))
    try:
        inside.play(scenario, world, plan)
        wrong = trouble(scenario, world) if plan.due else NOT_REACHED
    except Exception as error:  # noqa: BLE001 - a run that fails is what is looked for
        wrong = f"{type(error).__name__}: {error}"
    return Cell(scenario=scenario.name, point=point, fault=fault, nth=nth, trouble=wrong)


def try_outside(
    scenario: Scenario, world: World, fault: str, point: str, nth: int, folder: Path, environment: outside.Environment
) -> Cell:
    """Run one cell with processes of which one is killed, or fails."""
    empty()
    once = folder / f"{scenario.name}-{point}-{nth}"
    once.unlink(missing_ok=True)
    plan = f"{point}:{fault.split(maxsplit=1)[0]}:{nth}:{once}"
    try:
        failed = outside.play(scenario, world, plan, once, environment)
        wrong = trouble(scenario, world) if failed else NOT_REACHED
    except Exception as error:  # noqa: BLE001 - a run that fails is what is looked for
        wrong = f"{type(error).__name__}: {error}"
    return Cell(scenario=scenario.name, point=point, fault=fault, nth=nth, trouble=wrong)


def trouble(scenario: Scenario, world: World) -> str:
    """Return what is wrong now: by the tables, or by what the scenario expects of its effects."""
    problems = [f"{one.code}: {one.text}" for one in verify.everything()]
    if problems:
        return " ".join(problems)
    try:
        scenario.check(world)
    except Exception as error:  # noqa: BLE001 - rows that are missing are trouble like any other
        return f"{type(error).__name__}: {error}"
    return ""


def empty() -> None:
    """Remove every row and every file."""
    emptying.empty("default")
    storage = artifacts.storage()
    for content in list(_files(storage, "")):
        storage.delete(content)


def _files(storage: Any, folder: str) -> Iterator[str]:
    try:
        folders, names = storage.listdir(folder)
    except FileNotFoundError:
        return
    yield from (f"{folder}/{name}".lstrip("/") for name in names)
    for inner in folders:
        yield from _files(storage, f"{folder}/{inner}".lstrip("/"))


def _requeue() -> None:
    for pk, row_version in WorkItem.objects.filter(state="running").values_list("pk", "row_version"):
        try:
            # What has ended meanwhile would be run again, which is another move than this one.
            requeue(pk, actor="fault", row_version=row_version)
        except RoostError:
            continue


def _elsewhere(move: Callable[[], object]) -> Callable[[str], None]:
    """Return an action: the move, made on a connection of its own while this thread stands still."""

    def whole() -> None:
        try:
            move()
        finally:
            connections.close_all()

    def act(point: str) -> None:
        thread = threading.Thread(target=whole, name="crash-elsewhere")
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), f"what was to happen at {point} is waiting for this thread"

    return act
