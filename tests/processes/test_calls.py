"""Recorded calls when processes die in the middle of them: made once, or known to be in doubt."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from runtime.faults import VARIABLE
from runtime.models import Event, JournalEntry, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.operations.redrive import redrive
from runtime.operations.reset_call import reset_call
from runtime.queries import verify
from tests.processes.assertions import assert_nothing_left_over
from tests.processes.conftest import StartFleet
from tests.processes.fleet import Fleet, all_in

pytestmark = pytest.mark.slow
ENGINES = ["caller", "atomiccaller"]
CALLS = 4


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return tmp_path / "outside"


def put(engine: str, outside: Path, **payload: Any) -> uuid.UUID:
    return enqueue(engine, {"calls": CALLS, "outside": str(outside), **payload}).pk


def keys(outside: Path) -> list[str]:
    """Return the idempotency keys of the calls that were made, in order."""
    return outside.read_text().splitlines()


def expected(item: uuid.UUID) -> list[str]:
    return [f"{item}:1:call {number}" for number in range(CALLS)]


def run(workers: Fleet, item: uuid.UUID, state: str) -> None:
    workers.start("--processes", "2")
    workers.wait(30, all_in(state, pk=item), "the end")
    assert list(verify.item(item)) == []
    assert_nothing_left_over()


@pytest.mark.scenario("L19", "S1")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_killed_after_a_call_leaves_it_made_once(fleet: StartFleet, outside: Path, engine: str) -> None:
    item = put(engine, outside, die=2, where="after")
    run(fleet(), item, "done")
    assert keys(outside) == expected(item)
    assert Event.objects.filter(work_item=item, kind="recovered").count() == 1
    assert Event.objects.filter(work_item=item, kind="replayed").count() == 3
    assert not Event.objects.filter(work_item=item, kind="in_doubt").exists()


@pytest.mark.scenario("L36", "B23")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_killed_inside_a_call_leaves_it_in_doubt_and_it_is_made_again_under_its_key(
    fleet: StartFleet, outside: Path, engine: str
) -> None:
    item = put(engine, outside, die=1, where="inside")
    run(fleet(), item, "done")
    wanted = expected(item)
    assert keys(outside) == [wanted[0], wanted[1], *wanted[1:]]
    [doubt] = Event.objects.filter(work_item=item, kind="in_doubt")
    assert doubt.data["key"] == "call 1"
    assert JournalEntry.objects.get(work_item=item, key="call 1").attempts == 2


@pytest.mark.scenario("L36", "B23")
def test_a_call_in_doubt_that_must_not_be_made_twice_waits_for_an_operator(fleet: StartFleet, outside: Path) -> None:
    item = put("caller", outside, die=1, where="inside", in_doubt="fail")
    workers = fleet()
    run(workers, item, "failed")
    assert WorkItem.objects.get(pk=item).last_error["code"] == "call_in_doubt"
    assert keys(outside) == expected(item)[:2]
    reset_call(item, "call 1")
    redrive(item)
    workers.wait(30, all_in("done", pk=item), "the end after the reset")
    assert keys(outside) == [*expected(item)[:2], *expected(item)[1:]]


@pytest.mark.scenario("L19", "L36")
@pytest.mark.parametrize(
    ("point", "nth", "made"),
    [
        ("journal.before", 3, [0, 1, 2, 3]),  # before the begin of the second call
        ("journal.after", 3, [0, 1, 2, 3]),  # begun, not yet made
        ("call.before", 2, [0, 1, 2, 3]),
        ("call.after", 2, [0, 1, 1, 2, 3]),  # made, its end not yet written
        ("journal.before", 4, [0, 1, 1, 2, 3]),
        ("journal.after", 4, [0, 1, 2, 3]),
        ("commit.before", 1, [0, 1, 2, 3]),
        ("commit.after", 1, [0, 1, 2, 3]),
    ],
)
def test_wherever_a_process_is_killed_each_call_is_made_once_or_was_in_doubt(
    fleet: StartFleet, outside: Path, point: str, nth: int, made: list[int]
) -> None:
    item = put("caller", outside)
    workers = fleet()
    workers.environment[VARIABLE] = f"{point}:kill:{nth}:{outside}.fault"
    run(workers, item, "done")
    assert Path(f"{outside}.fault").exists()
    wanted = expected(item)
    assert keys(outside) == [wanted[number] for number in made]
