"""What fails while `runtime.testing.inline` stands there is raised where it was set going, or left with its item."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError

from runtime.choices import State
from runtime.exceptions import PermanentError, RoostError
from runtime.models import WorkItem
from runtime.operations.enqueue import enqueue
from runtime.testing import crash_at, inline
from tests.runtime.inlining import ENGINES, Refused, in_both_cases, order, signed


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the engines of these tests and no others."""
    settings.ROOST_ENGINES = ENGINES


# What fails ---------------------------------------------------------------------------------------------------------


@in_both_cases
def test_what_a_step_raised_is_raised_when_its_item_is_committed() -> None:
    with inline(), pytest.raises(Refused) as caught:
        order("lost", "other", payload={"refused": True})
    [lost] = WorkItem.objects.filter(state=State.FAILED)
    assert caught.value.__notes__ == [f"Work item {lost.pk} of signs, attempt 1, is failed now."]
    assert signed() == ["order of lost", "other"]


@in_both_cases
def test_an_item_that_would_be_tried_again_later_raises_too() -> None:
    with inline():
        with pytest.raises(Exception, match="Step 1 fails") as caught:
            enqueue("counter", {"count_to": 1, "fail_at": 1})
        assert "is queued now" in caught.value.__notes__[0]
    with inline(skip_delays=True):
        assert enqueue("counter", {"count_to": 1, "fail_at": 1}).state == State.DONE
        with pytest.raises(PermanentError):
            enqueue("counter", {"count_to": 1, "fail_at": 1, "fail_with": "permanent"})


@in_both_cases
def test_errors_can_be_left_with_their_items() -> None:
    with inline(raises=False):
        item = enqueue("signs", {"name": "lost", "refused": True}, max_attempts=1)
    assert (item.state, item.last_error["type"]) == (State.FAILED, "Refused")
    assert signed() == []


@in_both_cases
def test_an_item_that_fails_without_an_exception_raises_one_that_says_why() -> None:
    with inline(), pytest.raises(RoostError, match="all it may make"):
        enqueue("counter", {"count_to": 3}, max_steps=2)


@in_both_cases
def test_a_step_that_would_end_the_process_has_failed() -> None:
    with inline(), pytest.raises(RoostError, match=r"is failed now\. SystemExit\(3\)"):
        enqueue("signs", {"name": "lost", "exits": True}, max_attempts=1)
    assert WorkItem.objects.get().last_error["type"] == "SystemExit"
    assert signed() == []


@in_both_cases
def test_an_error_of_the_database_in_a_step_leaves_the_test_able_to_go_on() -> None:
    with inline():
        with pytest.raises(IntegrityError):
            enqueue("breaks", max_attempts=1)
        assert enqueue("signs", {"name": "a"}).state == State.DONE
    assert signed() == ["a"]


@in_both_cases
def test_a_crash_is_played_and_the_next_call_is_the_worker_that_follows() -> None:
    with inline():
        with crash_at("atomic.before"):
            enqueue("signs", {"name": "a"})
        assert signed() == []
        enqueue("signs", {"name": "b"})
    assert sorted(signed()) == ["a", "b"]
