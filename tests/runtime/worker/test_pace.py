"""When a worker claims: pure, beside a store that answers what the test says."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from runtime.store.values import ClaimRequest
from runtime.worker import pace as pacing
from runtime.worker.options import WorkerOptions
from runtime.worker.pace import BACKLOG_SECONDS, Pace

ROOM = 50


class Due:
    """A store in which something is always due."""

    using = "default"

    def next_due_in(self, request: ClaimRequest) -> float:
        """Say that it is due."""
        return 0.0

    def due(self, request: ClaimRequest) -> None:
        """Say that nothing presses."""


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, to be moved."""
    moment = [1000.0]
    monkeypatch.setattr(pacing.time, "monotonic", lambda: moment[0])
    return moment


@pytest.fixture
def pace(now: list[float]) -> Pace:
    """Return the pace of a worker that has just filled itself."""
    request = ClaimRequest(worker=uuid.uuid4(), engines=None, pools=(), limit=1)
    store: Any = Due()
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
    made = Pace(store, request, options)
    assert made.plan(ROOM, [], True) is False
    made.claimed(ROOM, ROOM, alone=False)
    return made


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
