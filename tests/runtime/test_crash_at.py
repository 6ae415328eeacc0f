"""Products play the death of a worker at a point, inside a test: what was written stays, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runtime import clock
from runtime.choices import EventKind, State
from runtime.engine import Complete, Continue, Engine, Item, Snapshot, engine
from runtime.exceptions import InvalidInput
from runtime.models import Event, Worker
from runtime.operations.enqueue import enqueue
from runtime.step import StepContext
from runtime.testing import crash_at, drain

pytestmark = pytest.mark.django_db

CALLED: list[str] = []
CUT_OFF = (("journal.after", 1), ("call.before", 1), ("call.after", 1), ("journal.before", 2))
"""Where a call was begun, and how it ended was not written."""


class Rows(Engine):
    """Atomic: keeps a row of each of two steps."""

    def init_snapshot(self, item: Item) -> Any:
        return 0

    def step(self, snapshot: Snapshot, item: Item) -> Any:
        n = snapshot.data + 1
        now = clock.now("default")
        Worker.objects.create(host=f"row {n}", pid=n, started_at=now, heartbeat_at=now)
        return Complete() if n == 2 else Continue(n)


def effect() -> str:
    CALLED.append("effect")
    return "made"


@engine()
async def calls(state: Any, ctx: StepContext) -> Any:
    return Complete(await ctx.run("effect", effect))


@engine()
def atomic_calls(state: Any, ctx: StepContext) -> Any:
    return Complete(ctx.run("effect", effect))


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register these engines and no others, and forget what was called."""
    settings.ROOST_ENGINES = {name: f"{__name__}.{name}" for name in ("calls", "atomic_calls", "Rows")}
    CALLED.clear()


@pytest.mark.scenario("L5", "L19", "L36")
@pytest.mark.parametrize("name", ["calls", "atomic_calls"])
@pytest.mark.parametrize(
    ("point", "nth", "made"),
    [
        ("claim.after", 1, 1),
        ("journal.before", 1, 1),
        ("journal.after", 1, 1),
        ("call.before", 1, 1),
        ("call.after", 1, 2),
        ("journal.before", 2, 2),
        ("journal.after", 2, 1),
        ("commit.before", 1, 1),
    ],
)
def test_the_worker_that_follows_goes_on_from_what_was_written(name: str, point: str, nth: int, made: int) -> None:
    item = enqueue(name)
    with crash_at(point, nth=nth):
        drain()
        pytest.fail("The worker is dead.")
    item.refresh_from_db()
    assert (item.state, item.version, item.attempt, item.deaths) == (State.QUEUED, 0, 0, 1)
    assert drain() == 1
    item.refresh_from_db()
    assert (item.state, item.result, len(CALLED)) == (State.DONE, "made", made)
    doubted = Event.objects.filter(work_item=item, kind=EventKind.IN_DOUBT).exists()
    assert doubted == ((point, nth) in CUT_OFF)


@pytest.mark.scenario("L20")
def test_what_was_committed_when_the_worker_died_is_not_done_again() -> None:
    item = enqueue("calls")
    with crash_at("commit.after"):
        drain()
    item.refresh_from_db()
    assert (item.state, item.deaths) == (State.DONE, 0)
    assert drain() == 0


def test_rows_of_a_step_are_there_with_its_commit_and_not_before(roost_drain: Callable[..., int]) -> None:
    item = enqueue("Rows")
    for point, rows in (("commit.after", 0), ("atomic.before", 0), ("atomic.after", 1)):
        with crash_at(point):
            roost_drain()
        item.refresh_from_db()
        assert (item.version, Worker.objects.filter(host__startswith="row").count()) == (rows, rows)
    assert roost_drain() == 1
    assert list(Worker.objects.filter(host__startswith="row").order_by("pid").values_list("pid", flat=True)) == [1, 2]


def test_a_crash_that_does_not_happen_fails_the_test() -> None:
    with pytest.raises(InvalidInput, match=r"commit\.before"), crash_at("nowhere"):
        pytest.fail("There is no such point.")
    enqueue("calls")
    with pytest.raises(AssertionError, match="1 times, and not 2"), crash_at("commit.after", nth=2):
        drain()
