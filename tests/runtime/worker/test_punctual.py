"""A worker fires schedules on time, beside its heartbeat, and looks again when there is something to see."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError

from runtime.models import WorkItem
from runtime.operations import firing
from runtime.operations.schedules import set_schedule
from runtime.store import get_store
from runtime.testing import advance
from runtime.worker import punctual
from runtime.worker.punctual import LOOK_SECONDS, Punctual

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def duty() -> Punctual:
    drain: Any = SimpleNamespace(store=get_store(), engines={"counter": None})
    return Punctual(drain)


def finish(duty: Punctual) -> None:
    assert duty._thread is not None
    duty._thread.join(timeout=20)
    assert not duty._thread.is_alive()


def looks(monkeypatch: pytest.MonkeyPatch, duty: Punctual, seconds: float) -> bool:
    """Say whether the duty looks when `seconds` have passed since it last did."""
    seen: list[bool] = []
    began = punctual.time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(punctual, "time", SimpleNamespace(monotonic=lambda: began + seconds))
        patch.setattr(punctual.firing, "outlook", lambda store, engines: seen.append(True) or ([], None))
        duty.fire_if_due()
    return bool(seen)


def test_what_is_due_is_fired_in_a_thread_of_its_own(duty: Punctual) -> None:
    set_schedule("pulse", engine="counter", payload={"count_to": 1}, every=60)
    with advance(61):
        duty.fire_if_due()
        finish(duty)
    assert WorkItem.objects.count() == 1


def test_it_sleeps_until_the_next_time_and_no_longer_than_a_new_schedule_may_wait(
    duty: Punctual, monkeypatch: pytest.MonkeyPatch
) -> None:
    duty.fire_if_due()
    assert not looks(monkeypatch, duty, LOOK_SECONDS - 0.5)
    duty.look_now()
    assert looks(monkeypatch, duty, 0)
    set_schedule("pulse", engine="counter", payload={"count_to": 1}, every=3)
    duty.look_now()
    duty.fire_if_due()
    assert not looks(monkeypatch, duty, 2)
    assert looks(monkeypatch, duty, 3.1)


def test_after_a_firing_it_looks_again_at_once(duty: Punctual) -> None:
    set_schedule("pulse", engine="counter", payload={"count_to": 1}, every=1, catch_up="all")
    for second in (1.5, 2.5, 3.5):
        with advance(second):
            duty.fire_if_due()
            finish(duty)
    assert WorkItem.objects.count() == 3


def test_a_firing_that_hangs_holds_up_nobody(duty: Punctual, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    release, began = threading.Event(), []
    monkeypatch.setattr(firing, "fire", lambda *_: (began.append(True), release.wait(20)))
    set_schedule("pulse", engine="counter", payload={"count_to": 1}, every=60)
    with advance(61):
        duty.fire_if_due()
        for _ in range(3):
            duty.look_now()
            duty.fire_if_due()
    release.set()
    finish(duty)
    assert began == [True]


def test_a_database_that_refuses_costs_a_turn(duty: Punctual, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise DatabaseError("no")

    set_schedule("pulse", engine="counter", payload={"count_to": 1}, every=60)
    with advance(61):
        with monkeypatch.context() as patch:
            patch.setattr(firing, "fire", refuse)
            duty.fire_if_due()
            finish(duty)
        duty.fire_if_due()
        finish(duty)
    assert WorkItem.objects.count() == 1
