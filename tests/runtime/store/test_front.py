"""Where a claim begins: pure."""

from __future__ import annotations

import datetime as dt
import uuid

from runtime.store.front import LOOKS_APART, MOST_PRIORITIES, MOST_SECONDS, SLOW_SECONDS, Front

EARLY = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LATE = EARLY + dt.timedelta(seconds=1)
LOW, HIGH = uuid.UUID(int=1), uuid.UUID(int=2)


def test_everything_is_looked_at_until_that_is_slow() -> None:
    front = Front()
    assert front.is_whole(0.0)
    front.looked(10.0, SLOW_SECONDS)
    assert front.is_whole(10.0)


def test_whole_looks_take_a_bounded_part_of_the_time() -> None:
    front = Front()
    front.looked(10.0, 0.02)
    assert not front.is_whole(10.0 + LOOKS_APART * 0.02 - 0.001)
    assert front.is_whole(10.0 + LOOKS_APART * 0.02)


def test_a_whole_look_is_never_put_off_for_longer_than_allowed() -> None:
    front = Front()
    front.looked(10.0, 60.0)
    assert not front.is_whole(9.9 + MOST_SECONDS)
    assert front.is_whole(10.0 + MOST_SECONDS)


def test_beginnings_move_forward_only_and_by_priority() -> None:
    front = Front()
    front.looked(0.0, 1.0)
    front.took([(0, LATE, LOW), (0, EARLY, HIGH), (0, LATE, HIGH), (5, EARLY, LOW)])
    front.took([(0, LATE, LOW)])
    assert front.begins == {0: (LATE, HIGH), 5: (EARLY, LOW)}


def test_beginnings_move_back_behind_what_was_overlooked() -> None:
    front = Front()
    front.looked(0.0, 1.0)
    front.took([(0, LATE, HIGH), (5, EARLY, LOW)])
    front.overlooked(
        [(0, EARLY, LOW), (0, EARLY, HIGH), (0, LATE + (LATE - EARLY), LOW), (5, LATE, LOW), (9, EARLY, LOW)]
    )
    assert front.begins == {0: (EARLY, HIGH), 5: (EARLY, LOW)}


def test_beginnings_are_forgotten_when_looking_at_everything_is_quick_again() -> None:
    front = Front()
    front.looked(0.0, 1.0)
    front.took([(0, LATE, LOW)])
    front.looked(60.0, SLOW_SECONDS / 2)
    assert front.begins == {}
    assert front.is_whole(60.0)


def test_more_priorities_than_can_be_kept_are_begun_anew() -> None:
    front = Front()
    front.took((priority, LATE, LOW) for priority in range(MOST_PRIORITIES + 1))
    assert front.begins == {}
