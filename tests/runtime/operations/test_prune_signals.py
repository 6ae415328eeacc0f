"""Signals for names that nobody came for go in the end, and so do idle names; no word that counts is lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError

from runtime.exceptions import Forbidden
from runtime.models import Mailbox, Signal
from runtime.operations.prune_signals import SignalsPruned, prune_signals
from runtime.operations.signal import send_signal
from runtime.store import old_signals
from tests.factories import MailboxFactory, SignalFactory, WaitFactory, WorkItemFactory, now
from tests.runtime.operations.aged import DAY

pytestmark = pytest.mark.django_db


def kept(name: str, days: float, **values: Any) -> Signal:
    """Return a signal that has been kept for so many days."""
    Mailbox.objects.get_or_create(namespace=values.get("namespace", "default"), name=name)
    signal: Signal = SignalFactory(name=name, created_at=now(-days * DAY), **values)
    return signal


def names() -> list[str]:
    """Return the names that are known."""
    return list(Mailbox.objects.order_by("pk").values_list("name", flat=True))


def test_what_nobody_came_for_goes_when_history_does_and_what_is_younger_stays() -> None:
    kept("old", 100), kept("both", 100)
    young = [kept("both", 80), kept("young", 80)]
    assert prune_signals() == SignalsPruned(signals=2, names=1)
    assert list(Signal.objects.order_by("pk")) == young
    assert names() == ["both", "young"]
    assert prune_signals() == SignalsPruned()


def test_what_an_item_has_or_will_have_stays_however_old() -> None:
    item = WorkItemFactory()
    wait = WaitFactory(kind="signal", key="taken", state="consumed")
    there = [kept("to one", 100, target=item), kept("taken", 100, taken_by=wait, consumed_version=1)]
    prune_signals()
    assert list(Signal.objects.order_by("pk")) == there


def test_a_name_that_somebody_waits_for_stays_and_so_does_one_of_another_namespace() -> None:
    WaitFactory(kind="signal", key="asked")
    for name, namespace in (("asked", "default"), ("asked", "elsewhere"), ("idle", "default")):
        MailboxFactory(name=name, namespace=namespace)
    kept("told", 1, namespace="elsewhere"), MailboxFactory(name="told")
    assert prune_signals().names == 3
    left = list(Mailbox.objects.order_by("pk").values_list("namespace", "name"))
    assert left == [("default", "asked"), ("elsewhere", "told")]


def test_a_name_that_was_removed_is_made_again_by_the_next_signal() -> None:
    MailboxFactory(name="go")
    prune_signals()
    assert names() == []
    send_signal("go", 1)
    assert names() == ["go"]


def test_where_history_is_kept_for_ever_only_idle_names_go(settings: Any) -> None:
    settings.ROOST_RETENTION_HISTORY_DAYS = None
    kept("old", 1000), MailboxFactory(name="idle")
    assert prune_signals() == SignalsPruned(names=1)
    assert names() == ["old"]


def test_it_comes_in_parts_and_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(old_signals, "ROWS", 2)
    monkeypatch.setattr("runtime.operations.prune_signals.LOOK", 1)
    for name in "abc":
        for _ in range(5):
            kept(name, 100)
    assert prune_signals(seconds=0) == SignalsPruned(more=True)
    ticks = iter(range(100))
    monkeypatch.setattr("runtime.operations.prune_signals.time.monotonic", lambda: next(ticks))
    first = prune_signals(seconds=9)
    assert (first.more, 0 < first.signals < 15) == (True, True)
    rest = prune_signals(after=first.after)
    assert (first.signals + rest.signals, first.names + rest.names, rest.more) == (15, 3, False)
    assert not Signal.objects.exists()


def test_a_name_that_cannot_be_emptied_keeps_no_other_from_being(monkeypatch: pytest.MonkeyPatch) -> None:
    kept("bad", 100), kept("good", 100)
    bad = Mailbox.objects.get(name="bad").pk
    whole = old_signals.empty

    def refuse(using: str, mailbox: int, *more: Any) -> Any:
        if mailbox == bad:
            raise IntegrityError("a row of the product's protects it")
        return whole(using, mailbox, *more)

    monkeypatch.setattr(old_signals, "empty", refuse)
    assert prune_signals() == SignalsPruned(signals=1, names=1)
    assert names() == ["bad"]


def test_it_needs_the_permission() -> None:
    with pytest.raises(Forbidden, match="prune_workitem"):
        prune_signals(by=User.objects.create_user("ada"))
