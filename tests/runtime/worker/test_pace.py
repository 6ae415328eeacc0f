"""When a worker claims: pure, beside a store that answers what the test says."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from runtime.store.values import ClaimRequest
from runtime.worker import pace as pacing
from runtime.worker.options import WorkerOptions
from runtime.worker.pace import BACKLOG_SECONDS, TOLD_SECONDS, Pace

ROOM = 50


class Due:
    """A store in which something is always due, and a suspect when the test says so."""

    using = "default"
    suspect = False
    asked = 0
    due_in = 0.0

    def next_due_in(self, request: ClaimRequest) -> float:
        """Say that it is due, unless the test says otherwise."""
        self.asked += 1
        return self.due_in

    def due(self, request: ClaimRequest) -> int | None:
        """Say that nothing presses, but for the suspect."""
        return 0 if request.alone and self.suspect else None


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, to be moved."""
    moment = [1000.0]
    monkeypatch.setattr(pacing.time, "monotonic", lambda: moment[0])
    return moment


@pytest.fixture
def store() -> Due:
    """Return what the worker asks."""
    return Due()


@pytest.fixture
def pace(now: list[float], store: Due) -> Pace:
    """Return the pace of a worker that has just filled itself."""
    made = begun(store)
    assert made.plan(ROOM, [], True) is False
    made.claimed(ROOM, ROOM, alone=False)
    return made


def begun(store: Any) -> Pace:
    """Return the pace of a worker that has just begun."""
    request = ClaimRequest(worker=uuid.uuid4(), engines=None, pools=(), limit=1)
    options = WorkerOptions(
        engines=None,
        processes=1,
        concurrency=ROOM,
        pools=(),
        once=False,
        until_idle=False,
        grace_seconds=5.0,
        using="default",
    )
    return Pace(store, request, options)


def claim_when_told(pace: Pace, brought: int) -> None:
    """Be woken, and claim what there is."""
    pace.woken()
    assert pace.plan(ROOM, [], True) is False
    pace.claimed(brought, ROOM, alone=False)


def test_little_room_is_filled_at_once_where_every_item_is_being_run(pace: Pace) -> None:
    pace.freed()
    assert pace.plan(1, [object()], True) is False


def test_little_room_is_filled_a_little_later_where_items_wait_for_a_thread(pace: Pace, now: list[float]) -> None:
    pace.freed()
    assert pace.plan(1, [object()], True, waiting=40) is None
    assert pace.wait(True) == pytest.approx(BACKLOG_SECONDS)
    pace.freed()
    assert pace.plan(2, [object()], True, waiting=40) is None
    now[0] += BACKLOG_SECONDS
    assert pace.plan(2, [object()], True, waiting=40) is False


def test_much_room_is_filled_at_once_whoever_waits(pace: Pace) -> None:
    pace.freed()
    assert pace.plan(ROOM // 4 + 1, [object()], True, waiting=30) is False


def test_a_worker_whose_last_waiting_item_has_begun_claims_at_once(pace: Pace) -> None:
    pace.freed()
    assert pace.plan(1, [object()], True, waiting=1) is None
    pace.freed()
    assert pace.plan(1, [object()], True, waiting=0) is False


def test_who_is_told_of_work_claims_it_and_asks_a_little_later_what_comes_next(
    pace: Pace, now: list[float], store: Due
) -> None:
    for _ in range(5):
        claim_when_told(pace, 1)
        assert pace.plan(ROOM, [], True) is None
    assert not store.asked
    assert pace.wait(True) == pytest.approx(TOLD_SECONDS)
    now[0] += TOLD_SECONDS
    assert pace.plan(ROOM, [], True) is False
    assert store.asked == 1


def test_when_something_of_that_claim_ends_it_asks_at_once_since_limits_may_have_kept_others_back(
    pace: Pace, now: list[float], store: Due
) -> None:
    claim_when_told(pace, 5)
    pace.freed(now[0] - 1.0)
    assert pace.plan(ROOM - 4, [object()], True) is None, "what was claimed before tells nothing of what was left"
    now[0] += TOLD_SECONDS / 10
    pace.freed(now[0] - TOLD_SECONDS / 10)
    assert pace.plan(ROOM - 3, [object()], True) is False


def test_after_that_ends_tell_nothing_that_was_not_asked(pace: Pace, now: list[float], store: Due) -> None:
    claim_when_told(pace, 5)
    claimed_at = now[0]
    now[0] += TOLD_SECONDS
    store.due_in = 3600.0
    assert pace.plan(ROOM - 5, [object()], True) is None
    pace.freed(claimed_at)
    assert pace.plan(ROOM - 4, [object()], True) is None
    assert store.asked == 1


def test_who_is_told_of_more_than_it_has_room_for_claims_again_at_once(pace: Pace, store: Due) -> None:
    claim_when_told(pace, ROOM)
    assert pace.plan(ROOM, [], True) is False
    assert not store.asked


def test_who_was_told_of_nothing_asks_at_once_what_comes_next(pace: Pace, store: Due) -> None:
    assert pace.plan(ROOM, [], True) is False
    pace.claimed(1, ROOM, alone=False)
    assert pace.plan(ROOM, [], True) is False
    assert store.asked == 1


@pytest.mark.scenario("L50")
def test_a_worker_that_has_just_begun_looks_for_suspects_before_it_fills_itself(now: list[float], store: Due) -> None:
    store.suspect = True
    pace = begun(store)
    assert pace.plan(ROOM, [], True) is True
    pace.claimed(1, 1, alone=True)
    assert pace.plan(ROOM - 1, [object()], True) is None


@pytest.mark.scenario("L50")
@pytest.mark.parametrize("brought", [ROOM, 1, 0], ids=["full", "not full", "nothing that may run"])
def test_a_suspect_is_seen_however_much_else_is_due(pace: Pace, now: list[float], store: Due, brought: int) -> None:
    """Items that end one after the other leave a little room each time, and never a moment without due work."""
    store.suspect = True
    waited = 0.0
    while pace.plan(1, [object()], True) is not None or not pace.should_yield(running()):
        pace.claimed(min(brought, 1), 1, alone=False)
        pace.freed()
        now[0] += 0.5
        waited += 0.5
        assert waited <= pacing.UNWOKEN_SECONDS, "no end in sight"
    assert pace.plan(ROOM, [], True) is True


@pytest.mark.scenario("L50")
@pytest.mark.parametrize("longest", [5.0, 25.0, 300.0])
def test_a_suspect_waits_no_longer_than_a_few_of_the_longest_steps(
    pace: Pace, now: list[float], store: Due, longest: float
) -> None:
    """Steps begin all the time, as long as the worker takes work, and each lasts `longest`."""
    store.suspect = True
    began, ends = now[0], now[0] + longest
    while (claim := pace.plan(0 if ends > now[0] else ROOM, [object()] if ends > now[0] else [], True)) is not True:
        if not pace.should_yield(running()):
            ends = now[0] + longest
        assert claim is None
        now[0] += 0.5
        assert now[0] - began <= pacing.UNWOKEN_SECONDS + 8 * max(longest, pacing.QUIET_SECONDS), "no end in sight"


def test_work_goes_on_between_two_vain_waits_for_an_empty_process(pace: Pace, now: list[float], store: Due) -> None:
    store.suspect = True
    quiet = []
    for _ in range(2000):
        assert pace.plan(0, [object()], True) is None
        quiet.append(pace.should_yield(running()))
        now[0] += 0.5
    assert 0.4 < sum(quiet) / len(quiet) < 0.9
    store.suspect = False
    now[0] += 2000
    assert pace.plan(0, [object()], True) is None
    assert not pace.should_yield(running())


@pytest.mark.scenario("L50")
def test_after_some_suspects_it_is_others_turn(pace: Pace, now: list[float], store: Due) -> None:
    store.suspect = True
    now[0] += pacing.UNWOKEN_SECONDS
    alone = 0
    while pace.plan(ROOM, [], True) is True:
        pace.claimed(1, 1, alone=True)
        now[0] += 2.0
        pace.freed()
        alone += 1
        assert alone <= 1 + pacing.STREAK_SECONDS / 2, "nobody else ever runs"
    assert alone > 1
    assert pace.plan(ROOM, [], True) is False


def running() -> Any:
    """Return an item that could go on."""
    return SimpleNamespace(since=0.0, claimed=SimpleNamespace(priority=0))
