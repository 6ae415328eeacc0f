"""Waits on PostgreSQL, both sides at the same instant: one session is held at a lock, the other driven against it.

Whichever comes first, the item goes on, once.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from runtime.choices import EventKind, Reason, State, WaitState
from runtime.exceptions import Conflict
from runtime.models import Mailbox, Resource, Signal, Wait
from runtime.operations.approve import approve
from runtime.operations.cancel import cancel
from runtime.store import get_store, old_signals
from runtime.store.overdue_waits import settle_all
from tests.contracts.asking import ends, park, signal, told, wait_for, waiting, with_children
from tests.contracts.builders import (
    Hand,
    Together,
    after,
    cancelled,
    item,
    kinds,
    new_item,
    put,
    until,
    waiting_for_locks,
)
from tests.factories import MailboxFactory

pytestmark = pytest.mark.django_db(transaction=True)


def behind(first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """Do `first` in a transaction, drive `second` against its locks, commit, and return what `second` came to."""
    with transaction.atomic():
        first()
        held = Together([second])
        until(lambda: waiting_for_locks() > 0, "a wait for the first transaction's lock")
    return held.results()[0]


def went_on_once(pk: uuid.UUID) -> None:
    """Make sure that the item went on for what it waited for, and was woken once."""
    assert (item(pk).state, item(pk).reason) == (State.QUEUED, Reason.ANSWERED)
    assert kinds(pk).count(EventKind.WOKEN) == 1


@pytest.mark.scenario("S7")
@pytest.mark.parametrize("named", [True, False])
def test_a_wait_behind_a_signal_gets_it(named: bool) -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    sent = signal(payload=1) if named else signal(payload=1, target=pk)
    assert behind(lambda: hand.store.signal(sent), lambda: park(hand, claimed, wait_for())) == State.QUEUED
    went_on_once(pk)
    assert told(hand.take()) == {"go": 1}


@pytest.mark.scenario("S7")
@pytest.mark.parametrize("named", [True, False])
def test_a_signal_behind_a_wait_reaches_it(named: bool) -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    sent = signal(payload=1) if named else signal(payload=1, target=pk)
    _, woken = behind(lambda: park(hand, claimed, wait_for()), lambda: hand.store.signal(sent))
    assert [one.pk for one in woken] == [pk]
    went_on_once(pk)


@pytest.mark.scenario("S7")
@pytest.mark.parametrize("side", ["signal", "wait"])
def test_a_mailbox_that_is_removed_while_somebody_is_behind_it_is_there_for_the_other_side(side: str) -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    mailbox = MailboxFactory(name="go")
    sides = {
        "signal": lambda: hand.store.signal(signal(payload=1)),
        "wait": lambda: park(hand, claimed, wait_for()),
    }
    assert behind(lambda: old_signals.empty("default", mailbox.pk, None), sides.pop(side)) is not None
    assert Mailbox.objects.exclude(pk=mailbox.pk).count() == 1, "whoever comes next has a row to lock"
    sides.popitem()[1]()
    went_on_once(pk)


@pytest.mark.scenario("S7")
def test_two_signals_at_once_go_to_two_waits() -> None:
    hand = Hand()
    items = [waiting(hand, wait_for()), waiting(hand, wait_for())]
    behind(lambda: hand.store.signal(signal(payload=1)), lambda: hand.store.signal(signal(payload=2)))
    for pk in items:
        went_on_once(pk)
    assert not Signal.objects.filter(taken_by=None).exists()


@pytest.mark.scenario("S7")
def test_a_signal_for_a_name_locks_the_resources_of_who_waits_before_the_mailbox() -> None:
    """Whoever asks for the name while it holds a resource locks them in this order; the other one would be a ring."""
    hand = Hand()
    pk = waiting(hand, wait_for(), resources=[{"key": "desk", "scope": "item"}])
    with transaction.atomic():
        Resource.objects.select_for_update().get(key="desk")
        sent = Together([lambda: hand.store.signal(signal(payload=1))])
        until(lambda: waiting_for_locks() > 0, "the signal's wait for the resource")
        assert Mailbox.objects.select_for_update(nowait=True).get(name="go")
    [(_, woken)] = sent.results()
    assert [one.pk for one in woken] == [pk]
    went_on_once(pk)


@pytest.mark.scenario("S8")
def test_two_deliveries_at_once_are_one_signal() -> None:
    store = get_store()
    answers: list[Any] = []
    sent = [signal(payload=1, delivery_id="d") for _ in range(2)]
    late = behind(lambda: answers.append(store.signal(sent[0])), lambda: store.signal(sent[1]))
    assert (late, Signal.objects.count()) == ((sent[0].id, []), 1)


@pytest.mark.scenario("S7")
def test_a_signal_passes_over_a_wait_that_is_cancelled_at_the_same_instant() -> None:
    hand = Hand()
    first, second = waiting(hand, wait_for()), waiting(hand, wait_for())
    _, woken = behind(lambda: cancelled(first), lambda: hand.store.signal(signal()))
    assert [one.pk for one in woken] == [second]
    assert item(first).state == State.CANCELLED


@pytest.mark.scenario("S13")
def test_of_two_last_children_at_once_the_later_wakes_the_parent() -> None:
    hand = Hand()
    pk, (one, two) = with_children(hand, 2)
    assert behind(lambda: ends(hand, one), lambda: ends(hand, two)) == State.DONE
    went_on_once(pk)
    assert kinds(pk).count(EventKind.CHILD_ENDED) == 2


@pytest.mark.scenario("S13")
@pytest.mark.parametrize("first", ["child", "parent"])
def test_a_parent_and_its_last_child_do_not_miss_each_other(first: str) -> None:
    pk, hand = put(), Hand()
    parent = hand.take()
    put(parent_id=pk)
    child = hand.take()

    def waits() -> Any:
        return park(hand, parent, wait_for("kids", "children"))

    def dies() -> Any:
        return ends(hand, child)

    behind(*((dies, waits) if first == "child" else (waits, dies)))
    went_on_once(pk)


@pytest.mark.scenario("S13")
def test_a_child_cancelled_beside_its_last_sibling_is_counted() -> None:
    hand = Hand()
    pk, (one, two) = with_children(hand, 2)
    behind(lambda: cancelled(one.id), lambda: ends(hand, two))
    went_on_once(pk)


@pytest.mark.scenario("S8")
def test_of_two_answers_at_once_one_is_refused() -> None:
    pk = waiting(Hand(), wait_for("yes", "approval"))

    def late() -> str:
        with pytest.raises(Conflict) as caught:
            approve(pk, actor="bea")
        return caught.value.state

    assert behind(lambda: approve(pk, actor="ann"), late) == State.QUEUED
    assert Wait.objects.get().resolved_by == "ann"
    went_on_once(pk)


@pytest.mark.scenario("S8")
def test_a_commit_behind_an_answer_that_its_step_never_saw_does_not_consume_it() -> None:
    hand = Hand()
    pk = waiting(hand, wait_for("a", "approval", needed="any"), wait_for("b", "approval", needed="any"))
    approve(pk, "a", actor="ann")
    claimed = hand.take()
    behind(lambda: approve(pk, "b", actor="bea"), lambda: hand.commit(claimed, State.DONE, asked=True))
    assert dict(Wait.objects.values_list("key", "state")) == {"a": WaitState.CONSUMED, "b": WaitState.WITHDRAWN}
    assert kinds(pk)[-2:] == [EventKind.STEP, EventKind.ANSWERED]


@pytest.mark.scenario("S8")
def test_an_answer_behind_the_commit_of_a_step_without_it_is_refused() -> None:
    hand = Hand()
    pk = waiting(hand, wait_for("a", "approval", needed="any"), wait_for("b", "approval", needed="any"))
    approve(pk, "a", actor="ann")
    claimed = hand.take()

    def late() -> str:
        with pytest.raises(Conflict) as caught:
            approve(pk, "b", actor="bea")
        return caught.value.state

    assert behind(lambda: hand.commit(claimed, asked=True), late) == State.RUNNING


@pytest.mark.scenario("S5")
def test_an_answer_behind_the_end_of_patience_is_refused() -> None:
    pk = waiting(Hand(), wait_for("yes", "approval", expires_in=60))

    def late() -> str:
        with pytest.raises(Conflict) as caught:
            approve(pk)
        return caught.value.state

    with after(61):
        assert behind(lambda: get_store().sweep(batch=10), late) == State.FAILED
    assert item(pk).reason == Reason.WAIT_EXPIRED


@pytest.mark.scenario("S5")
def test_the_end_of_patience_behind_an_answer_is_none() -> None:
    pk = waiting(Hand(), wait_for("yes", "approval", expires_in=60))
    with after(61):
        behind(lambda: approve(pk), lambda: settle_all("default", [pk]))
    went_on_once(pk)
    assert Wait.objects.get().state == WaitState.RESOLVED


@pytest.mark.scenario("L33", "L46")
def test_a_child_that_is_spawned_while_its_grandparent_is_cancelled_is_cancelled_too() -> None:
    hand = Hand()
    pk, (child,) = with_children(hand, 1)
    late = new_item(parent_id=child.id, relation="child")
    behind(lambda: hand.commit(child, children=(late,)), lambda: cancel(pk))
    assert [item(one).state for one in (pk, child.id, late.id)] == [State.CANCELLED] * 3


@pytest.mark.scenario("L33", "L46")
def test_a_child_that_is_spawned_by_the_last_step_of_its_parent_is_cancelled_with_its_grandparent() -> None:
    hand = Hand()
    pk, (child,) = with_children(hand, 1, terms={"need": 2})
    late = new_item(parent_id=child.id, relation="child")
    last = lambda: hand.commit(child, State.DONE, children=(late,), has_parent=False)  # noqa: E731
    behind(last, lambda: cancel(pk))
    assert [item(one).state for one in (pk, child.id, late.id)] == [State.CANCELLED, State.DONE, State.CANCELLED]


@pytest.mark.scenario("L33", "B11")
def test_a_last_child_that_ends_while_its_parent_is_cancelled_ends_as_it_did() -> None:
    hand = Hand()
    pk, (child,) = with_children(hand, 1)
    behind(lambda: ends(hand, child), lambda: cancel(pk))
    assert (item(child.id).state, item(pk).state) == (State.DONE, State.CANCELLED)
    assert Wait.objects.get().state == WaitState.RESOLVED
