"""Every scenario, at every point that it passes, with every fault: nothing is lost, doubled or stuck."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.faults import FAULTS, NOT_REACHED
from tests.crash.matrix import Cell, reached, record, runs, try_one
from tests.crash.outside import Environment
from tests.crash.scenario import Scenario, World
from tests.crash.scenarios import SCENARIOS

pytestmark = [pytest.mark.crash, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]

Make = Callable[[], World]
Tell = Callable[[str, object], None]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_point_costs_nothing(
    scenario: Scenario, fault: str, make_world: Make, environment: Environment, tmp_path: Path, record_property: Tell
) -> None:
    passed = record(scenario, make_world())
    cells = [
        reached(try_one, scenario, make_world, fault, point, nth, tmp_path, environment)
        for point, nth in runs(passed, fault)
    ]
    tell(cells, record_property)


def tell(cells: list[Cell], record_property: Tell) -> None:
    """Put the cells into junit.xml, and fail for those that did not pass.

    Beats, sweeps and idle claims depend on the clock, so a run may end before it comes to the point. It says nothing
    then, and is counted as such; `test_points` makes sure that each place is reached in one scenario at least.
    """
    record_property("crash", json.dumps([cell.to_dict() for cell in cells]))
    wrong = [cell for cell in cells if cell.trouble not in ("", NOT_REACHED)]
    assert [f"{one.fault} at {one.point} (pass {one.nth}): {one.trouble}" for one in wrong] == []
