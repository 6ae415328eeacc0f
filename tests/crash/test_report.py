"""The matrix tells the truth: what did not pass is shown, and what did not happen is not counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime.models import Event
from tests.crash.faults import NOT_REACHED
from tests.crash.matrix import try_inside
from tests.crash.report import page, table, told, totals
from tests.crash.scenario import World
from tests.crash.scenarios import SCENARIOS, Count


def cell(point: str, trouble: str = "") -> dict[str, Any]:
    return {
        "database": "sqlite",
        "scenario": "counter",
        "point": point,
        "fault": "raise before",
        "nth": 1,
        "trouble": trouble,
    }


def test_runs_that_came_to_their_point_are_counted_and_those_that_failed_are_named() -> None:
    cells = [cell("claim.before"), cell("claim.before", "zombie: …"), cell("renew.before", NOT_REACHED)]
    document = {"seconds": 90, "databases": ["sqlite"], "cells": cells}
    assert totals(document).startswith("1 of 2 runs passed: 1 scenarios at 1 of ")
    assert "| claim.before | 1/2 " in table(told(document))
    assert "renew.before" not in table(told(document))
    assert "raise before at `claim.before` (pass 1, sqlite): zombie" in page(document)
    assert "1 more runs ended before" in page(document)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick")
def test_a_run_whose_tables_or_effects_are_wrong_does_not_pass(make_world: Callable[[], World]) -> None:
    class Doubled(Count):
        """Write the history of a zombie when all is over."""

        def play(self, world: World) -> bool:
            over = super().play(world)
            if over:
                last = Event.objects.latest("seq")
                Event.objects.filter(pk=last.pk).update(epoch=0)
            return over

    class Greedy(Count):
        """Expect what does not come."""

        def check(self, world: World) -> None:
            raise AssertionError("there should be more")

    tried = [try_inside(one, make_world(), "raise before", "commit.before", 1) for one in (Doubled(), Greedy())]
    assert "zombie" in tried[0].trouble
    assert "there should be more" in tried[1].trouble


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("quick")
def test_a_run_that_never_comes_to_its_point_says_so(make_world: Callable[[], World]) -> None:
    assert try_inside(SCENARIOS["counter"], make_world(), "raise before", "fork.before", 1).trouble == NOT_REACHED
