"""What limits hold back is held back from `runtime.testing.drain` too."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from runtime import clock
from runtime.choices import State
from runtime.operations.enqueue import enqueue
from runtime.operations.limits import set_limit
from runtime.testing import drain
from runtime.worker.inline_worker import InlineWorker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the counter alone."""
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}


def test_skipping_delays_ends_at_work_that_no_time_brings() -> None:
    set_limit("shut", fair_key="held", concurrency=0)
    held = enqueue("counter", {"count_to": 1}, fair_key="held")
    later = enqueue("counter", {"count_to": 1}, delay=60)
    assert drain(skip_delays=True) == 1
    held.refresh_from_db()
    later.refresh_from_db()
    assert (held.state, later.state) == (State.QUEUED, State.DONE)


def test_skipping_delays_brings_the_steps_that_a_rate_holds_back() -> None:
    set_limit("slow", engine="counter", rate=1, per_seconds=3600)
    item = enqueue("counter", {"count_to": 3})
    assert drain() == 1
    assert drain(skip_delays=True) == 2
    item.refresh_from_db()
    assert item.state == State.DONE


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a minute and a half go by after each claim that finds nothing."""
    claim = InlineWorker._claim
    with ExitStack() as passed:

        def claim_and_wait(worker: InlineWorker) -> Any:
            claimed = claim(worker)
            if claimed is None:
                passed.enter_context(clock.shifted(dt.timedelta(seconds=90)))
            return claimed

        monkeypatch.setattr(InlineWorker, "_claim", claim_and_wait)
        yield


@pytest.mark.usefixtures("slow")
def test_work_that_becomes_due_while_one_looks_for_more_is_run() -> None:
    item = enqueue("counter", {"count_to": 2}, delay=60)
    assert drain(skip_delays=True) == 2
    item.refresh_from_db()
    assert item.state == State.DONE


@pytest.mark.usefixtures("slow")
def test_a_rate_that_fills_while_one_looks_for_more_lets_the_next_step_run() -> None:
    set_limit("slow", engine="counter", rate=1, per_seconds=60)
    enqueue("counter", {"count_to": 3})
    assert drain(max_steps=1) == 1
    assert drain(skip_delays=True) == 2
