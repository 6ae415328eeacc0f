"""Every try of every step is kept, with what it came to."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.exceptions import InvalidInput
from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.redrive import redrive
from runtime.queries.attempts import Attempt, attempts
from runtime.testing import drain
from tests.contracts.builders import Hand, put

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the engine that has something to tell."""
    settings.ROOST_ENGINES = {"eventful": "tests.runtime.queries.stories.Eventful"}


def finished(**payload: Any) -> WorkItem:
    """Return an item that has been run to its end."""
    item = enqueue("eventful", payload)
    drain(skip_delays=True, engines=["eventful"])
    return WorkItem.objects.get(pk=item.pk)


def shown(rows: tuple[Attempt, ...]) -> list[tuple[int, int, str]]:
    return [(one.step, one.number, one.outcome) for one in rows]


RUN = [(1, 1, "step"), (2, 1, "retry"), (2, 2, "retry"), (2, 3, "step"), (3, 1, "step")]


@pytest.mark.scenario("L24", "L25")
def test_each_try_of_each_step_is_told_with_its_error_and_its_worker() -> None:
    item = finished(steps=3)
    assert item.last_error is None
    page = attempts(item.pk)
    assert shown(page.rows) == RUN
    assert [one.failed for one in page.rows] == [False, True, True, False, False]
    failed = page.rows[1]
    assert failed.error is not None
    assert (failed.error["message"], failed.error["code"], failed.error["category"]) == ("not yet", "busy", "transient")
    assert failed.worker_name
    assert all(one.duration is not None for one in page.rows)
    assert not page.more


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_number_attempts_as_the_whole_does(limit: int) -> None:
    item = finished(steps=3)
    told: list[tuple[int, int, str]] = []
    after = 0
    while True:
        page = attempts(item.pk, after=after, limit=limit)
        told += shown(page.rows)
        if not page.more:
            break
        after = page.rows[-1].seq
    assert told == RUN


@pytest.mark.scenario("L25")
def test_a_redrive_adds_attempts_and_takes_none_away() -> None:
    item = finished(steps=5, declines=4)
    before = attempts(item.pk).rows
    assert shown(before)[-1] == (4, 1, "failed")
    redrive(item.pk, from_version=2)
    drain(skip_delays=True, engines=["eventful"])
    after = attempts(item.pk).rows
    assert after[: len(before)] == before
    assert shown(after[len(before) :]) == [(5, 1, "step"), (6, 1, "failed")]


def test_tries_that_were_cut_off_cost_no_attempt() -> None:
    pk, mortal, heir = put(), Hand(), Hand()
    mortal.take()
    mortal.die()
    heir.release(heir.take())
    heir.commit(heir.take())
    page = attempts(pk)
    assert shown(page.rows) == [(1, 1, "recovered"), (1, 1, "released"), (1, 1, "step")]
    assert [one.worker for one in page.rows] == [mortal.id, heir.id, heir.id]


def test_an_item_failed_by_a_sweep_has_no_attempt_for_that() -> None:
    item = finished(steps=1)
    assert shown(attempts(item.pk).rows) == [(1, 1, "step")]
    assert attempts(enqueue("eventful", {"steps": 1}).pk).rows == ()


@pytest.mark.scenario("L15")
@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_bounds_is_refused(limit: int) -> None:
    with pytest.raises(InvalidInput):
        attempts(put(), limit=limit)
