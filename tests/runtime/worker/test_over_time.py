"""An item whose time is over when it is claimed makes no other step: no sweep need have come by."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.engine import Complete, Continue, engine
from runtime.models import Event, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.redrive import redrive
from runtime.testing import advance, drain

MADE: list[str] = []


@engine()
def atomic(state: Any) -> Any:
    """Make two steps, with a minute between them; an atomic step."""
    MADE.append("atomic")
    return Complete() if state.get("n") else Continue({"n": 1}, delay=60)


@engine()
async def awaited(state: Any) -> Any:
    """Do the same in the async lane."""
    MADE.append("awaited")
    return Complete() if state.get("n") else Continue({"n": 1}, delay=60)


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register these engines and no others."""
    settings.ROOST_ENGINES = {name: f"{__name__}.{name}" for name in ("atomic", "awaited")}
    MADE.clear()


def ended(item: WorkItem) -> WorkItem:
    item.refresh_from_db()
    [failed] = Event.objects.filter(work_item=item, kind=EventKind.FAILED)
    assert (item.state, failed.reason, item.last_error["code"]) == (State.FAILED, item.reason, item.reason)
    assert (item.attempt, item.fingerprint) == (0, item.reason)
    return item


@pytest.mark.django_db
@pytest.mark.scenario("L30")
@pytest.mark.parametrize("name", ["atomic", "awaited"])
def test_an_item_that_is_claimed_past_its_deadline_fails_without_a_step(name: str) -> None:
    item = enqueue(name, {}, deadline=dt.timedelta(seconds=30))
    with advance(31):
        drain()
    assert MADE == []
    assert (ended(item).reason, item.version) == (Reason.DEADLINE, 0)
    assert "before its next step began" in item.last_error["message"]


@pytest.mark.django_db
@pytest.mark.scenario("L9")
@pytest.mark.parametrize("name", ["atomic", "awaited"])
def test_an_item_whose_time_is_up_when_it_is_claimed_again_fails_with_the_steps_it_made(name: str) -> None:
    item = enqueue(name, {}, item_timeout=30)
    drain(skip_delays=True)
    assert [name] == MADE
    assert (ended(item).reason, item.version) == (Reason.TIMEOUT, 1)
    redrive(item.pk)
    drain()
    item.refresh_from_db()
    assert (item.state, item.version) == (State.DONE, 2)
