"""Recorded calls on PostgreSQL while others move the item: forced interleavings of two sessions."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import transaction

from runtime.choices import State
from runtime.exceptions import Conflict
from runtime.journal.entries import Answer, Begin, End, Found
from runtime.models import JournalEntry, WorkItem
from runtime.operations.pause import pause
from runtime.operations.reset_call import reset_call
from runtime.store import get_store
from runtime.store.values import Claimed
from tests.contracts.builders import Hand, Together, cancelled, put, until, waiting_for_locks
from tests.contracts.test_store_journal import begin, end

pytestmark = pytest.mark.django_db(transaction=True)


def send(write: Begin | End) -> Found:
    [found] = get_store().journal([write])
    return found


def beside(*writes: Begin | End) -> list[Answer]:
    """Send writes from another session, while this one has its transaction open."""
    return [found.answer for found in Together([lambda: get_store().journal(writes)]).results()[0]]


def taken() -> Claimed:
    put()
    return Hand().take()


@pytest.mark.scenario("L4", "L26")
def test_a_call_beside_a_cancel_is_told_to_come_again_and_then_that_it_is_too_late() -> None:
    claimed = taken()
    first = begin(claimed)
    send(first)
    with transaction.atomic():
        cancelled(claimed.id)
        assert beside(begin(claimed, "new"), end(first, result="1")) == [Answer.BUSY, Answer.BUSY]
    assert beside(begin(claimed, "new"), end(first, result="1")) == [Answer.FENCED, Answer.FENCED]
    assert list(JournalEntry.objects.values_list("key", "state")) == [("charge", "started")]


@pytest.mark.scenario("L4")
def test_a_cancel_behind_the_end_of_a_call_finds_it_recorded() -> None:
    claimed = taken()
    first = begin(claimed)
    send(first)
    with transaction.atomic():
        assert send(end(first, result="1")).answer is Answer.WRITTEN
        cancel = Together([lambda: cancelled(claimed.id)])
        until(lambda: waiting_for_locks() > 0, "a wait for the end of the call")
    assert cancel.results()[0].state == State.CANCELLED
    assert JournalEntry.objects.get().state == "succeeded"


@pytest.mark.scenario("L26", "B4")
def test_an_owner_that_was_taken_for_dead_ends_no_call_after_the_new_owner_has_begun_it() -> None:
    put()
    old, new = Hand(), Hand()
    claimed = old.take()
    first = begin(claimed)
    send(first)
    with transaction.atomic():
        assert old.die().recovered == 1
        assert beside(end(first, result='"old"')) == [Answer.BUSY]
    again = new.take()
    with transaction.atomic():
        assert send(begin(again, replaces=first.call)).answer is Answer.WRITTEN
        assert beside(end(first, result='"old"')) == [Answer.FENCED]
    assert (JournalEntry.objects.get().state, JournalEntry.objects.get().epoch) == ("started", again.epoch)


def test_a_begin_sent_again_while_its_first_copy_is_still_under_way_is_begun_once() -> None:
    claimed = taken()
    first = begin(claimed)
    with transaction.atomic():
        send(first)
        # The first copy's transaction is still open on the server: its answer was lost with the connection.
        assert beside(first) == [Answer.BUSY]
    assert send(first) == Found(answer=Answer.WRITTEN, attempts=1)
    assert JournalEntry.objects.get().attempts == 1


def test_a_reset_waits_for_who_claims_the_item_and_then_leaves_its_call_alone() -> None:
    put()
    hand = Hand()
    claimed = hand.take()
    first = begin(claimed)
    send(first)
    assert hand.release(claimed) == 1

    def reset() -> Any:
        with pytest.raises(Conflict) as caught:
            reset_call(claimed.id, "charge")
        return caught.value.state

    with transaction.atomic():
        WorkItem.objects.select_for_update().get(pk=claimed.id)
        waiting = Together([reset])
        until(lambda: waiting_for_locks() > 0, "a wait of the reset")
        again = hand.take()
    assert waiting.results() == ["running"]
    assert send(begin(again)).answer is Answer.RECORDED


def test_a_call_reset_between_two_owners_is_begun_anew() -> None:
    put()
    hand = Hand()
    claimed = hand.take()
    first = begin(claimed)
    send(first)
    pause(claimed.id, now=True)
    reset_call(claimed.id, "charge")
    assert send(end(first, result="1")).answer is Answer.FENCED
    assert not JournalEntry.objects.exists()


@pytest.mark.scenario("L46")
def test_writers_of_opposite_orders_never_wait_for_each_other() -> None:
    for _ in range(2):
        put()
    one, two = Hand().claim()
    with transaction.atomic():
        send(begin(one, "a"))
        with_other = Together([lambda: get_store().journal([begin(two, "b"), begin(one, "b")])])
        answers = [found.answer for found in with_other.results()[0]]
        assert answers == [Answer.WRITTEN, Answer.BUSY]
        assert send(begin(two, "a")).answer is Answer.WRITTEN
    assert uuid.UUID(str(one.id)) in set(JournalEntry.objects.values_list("work_item_id", flat=True))
