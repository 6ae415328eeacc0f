"""One scenario for each point, in every run of the suite; `make crash` plays them all at all points."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from runtime import faults
from tests.crash.matrix import reached, record_until, try_inside, try_one, try_outside
from tests.crash.outside import Environment
from tests.crash.scenario import World
from tests.crash.scenarios import SCENARIOS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quick")]

HOMES = {
    "counter": ["insert", "claim", "commit", "worker"],
    "ledger": ["atomic"],
    "refund": ["journal", "call", "content", "artifact"],
    "webhook": ["deliver"],
    "target": ["notice"],
    "upload": ["attach"],
    "request": ["once"],
    "token": ["token"],
    "litter": ["orphans"],
    "prune": ["prune"],
    "patch": ["workspace", "clear"],
    "family": ["renew", "signal", "settle"],
    "stop": ["release"],
    "orphan": ["sweep"],
    "schedule": ["fire"],
    "operator": ["acknowledge", "move", "follow_up", "fork", "import", "rule"],
}
"""In which scenario each place is tried."""


def test_every_place_is_tried_somewhere() -> None:
    assert sorted(place for places in HOMES.values() for place in places) == sorted(faults.PLACES)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.scenario("S8", "B23", "L4", "F1", "F3")
@pytest.mark.parametrize("name", HOMES)
def test_a_fault_at_each_point_costs_nothing(
    name: str, make_world: Callable[[], World], environment: Environment, tmp_path: Path
) -> None:
    scenario = SCENARIOS[name]
    points = [f"{place}.{side}" for place in HOMES[name] for side in faults.SIDES]
    passed = record_until(set(points), scenario, make_world)
    assert set(points) <= passed.keys()
    wrong = {}
    for point in points:
        lost = connection.vendor == "postgresql" and point.endswith(".after") and passed[point].connected
        fault = "drop" if lost else f"raise {point.rpartition('.')[2]}"
        wrong[point] = reached(try_one, scenario, make_world, fault, point, 1, tmp_path, environment).trouble
    assert {point: trouble for point, trouble in wrong.items() if trouble} == {}


@pytest.mark.slow
@pytest.mark.scenario("F4")
@pytest.mark.parametrize("fault", ["requeue", "expire"])
def test_an_item_that_is_lost_before_its_commit_is_done_once(fault: str, make_world: Callable[[], World]) -> None:
    assert try_inside(SCENARIOS["counter"], make_world(), fault, "commit.before", 2).trouble == ""


@pytest.mark.slow
@pytest.mark.scenario("F2")
@pytest.mark.parametrize("point", ["commit.before", "commit.after"])
def test_a_process_that_is_killed_at_its_commit_costs_nothing(
    point: str, make_world: Callable[[], World], environment: Environment, tmp_path: Path
) -> None:
    fault = f"kill {point.rpartition('.')[2]}"
    cell = try_outside(SCENARIOS["counter"], make_world(), fault, point, 1, tmp_path, environment)
    assert cell.trouble == ""
