"""A person's signal to one item: its history tells who sent it and why."""

from __future__ import annotations

import pytest

from runtime.choices import EventKind, State
from runtime.exceptions import Conflict, InvalidInput, StaleVersion
from runtime.models import Signal
from runtime.operations.signal import SignalItem
from tests.factories import WaitFactory, WorkItemFactory
from tests.runtime.operations.looking import fresh

pytestmark = pytest.mark.django_db


def test_it_wakes_who_waits_and_leaves_who_sent_it_and_why() -> None:
    item = WaitFactory(kind="signal", key="go").work_item
    moved = SignalItem(item.pk, "go", {"a": 1}, actor="ann", reason="now", click="c1").execute()
    assert moved.state == State.QUEUED
    sent, taken, woken = item.events.order_by("seq")[1:]
    assert (sent.kind, sent.actor, sent.reason) == (EventKind.SIGNALLED, "ann", "now")
    assert sent.data == {"signal": str(Signal.objects.get().pk), "name": "go", "by": "ann", "click": "c1"}
    assert (taken.kind, woken.kind) == (EventKind.SIGNALLED, EventKind.WOKEN)


def test_it_is_kept_for_an_item_that_does_not_wait_yet() -> None:
    item = WorkItemFactory(running=True)
    before = item.epoch
    SignalItem(item.pk, "go").execute()
    assert (fresh(item).state, fresh(item).epoch) == (State.RUNNING, before)
    assert Signal.objects.get().target_id == item.pk


def test_an_item_that_has_ended_or_changed_gets_none() -> None:
    with pytest.raises(Conflict, match="takes no signal any more"):
        SignalItem(WorkItemFactory(done=True).pk, "go").execute()
    with pytest.raises(StaleVersion):
        SignalItem(WorkItemFactory().pk, "go", row_version=7).execute()
    with pytest.raises(InvalidInput, match="name"):
        SignalItem(WorkItemFactory().pk, "")
    assert not Signal.objects.exists()
