"""Every scenario, at every point that it passes, with every fault: nothing is lost, doubled or stuck."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.crash.faults import FAULTS
from tests.crash.matrix import NOT_REACHED, Cell, record, runs, try_inside, try_outside
from tests.crash.scenario import Scenario, World
from tests.crash.scenarios import SCENARIOS

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]

Make = Callable[[], World]
Tell = Callable[[str, object], None]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.startswith("kill")])
def test_a_fault_at_any_point_costs_nothing(
    scenario: Scenario, fault: str, make_world: Make, record_property: Tell
) -> None:
    passed = record(scenario, make_world())
    cells = [reached(try_inside, scenario, make_world, fault, point, nth) for point, nth in runs(passed, fault)]
    tell(cells, record_property)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.startswith("kill")])
def test_a_process_that_is_killed_at_any_point_costs_nothing(
    scenario: Scenario, fault: str, make_world: Make, processes: None, tmp_path: Path, record_property: Tell
) -> None:
    passed = record(scenario, make_world())
    cells = [
        reached(try_outside, scenario, make_world, fault, point, nth, tmp_path) for point, nth in runs(passed, fault)
    ]
    tell(cells, record_property)


def reached(run: Callable[..., Cell], scenario: Scenario, make_world: Make, *rest: Any) -> Cell:
    """Run a cell; once more where the point depends on time and was not reached."""
    cell = run(scenario, make_world(), *rest)
    return run(scenario, make_world(), *rest) if cell.trouble == NOT_REACHED else cell


def tell(cells: list[Cell], record_property: Tell) -> None:
    """Put the cells into junit.xml, and fail for those that did not pass.

    A second pass that did not happen this time is left out: how often an idle worker claims depends on the clock.
    """
    counted = [cell for cell in cells if cell.trouble != NOT_REACHED or cell.nth == 1]
    record_property("crash", json.dumps([cell.to_dict() for cell in counted]))
    wrong = [f"{cell.fault} at {cell.point} (pass {cell.nth}): {cell.trouble}" for cell in counted if cell.trouble]
    assert wrong == []
