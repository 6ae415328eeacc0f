"""Waits and signals, for every store: what is asked for is answered once, and no signal is lost."""

from __future__ import annotations

import uuid

import pytest

from runtime.choices import EventKind, Reason, State, WaitState
from runtime.exceptions import Conflict, IdempotencyConflict, NotFound
from runtime.models import Signal, Wait
from runtime.models.workitem import new_id
from runtime.queries import verify
from runtime.store.base import Store
from runtime.store.values import WaitAnswer
from tests.contracts.asking import answer, park, signal, told, wait_for, waiting
from tests.contracts.builders import Hand, after, cancelled, item, kinds, last_event, moved, put, traces

pytestmark = pytest.mark.django_db


def test_an_item_without_waits_is_told_nothing(worker: Hand) -> None:
    put()
    assert worker.take().answers is None


@pytest.mark.scenario("S8")
def test_an_answer_is_told_until_a_version_is_made_and_then_consumed(worker: Hand) -> None:
    pk = waiting(worker, wait_for("yes", "approval"))
    assert answer(pk).state == State.QUEUED
    claimed = worker.take()
    assert told(claimed) == {"yes": True}
    worker.release(claimed)
    claimed = worker.take()
    assert told(claimed) == {"yes": True}
    assert worker.commit(claimed, asked=True) == State.RUNNING
    found = Wait.objects.get()
    assert (found.state, found.consumed_version, item(pk).asked) == (WaitState.CONSUMED, 1, False)


def test_asking_again_changes_nothing(worker: Hand) -> None:
    pk = waiting(worker, wait_for("a", "approval", needed="any"), wait_for("b", "approval", needed="any"))
    before = Wait.objects.get(key="b")
    given = WaitAnswer(wait=Wait.objects.get(key="a").pk, by="ann", reason="", value=True, final=True)
    moved(pk, EventKind.APPROVED, answer=given)
    claimed = worker.take()
    assert park(worker, claimed, wait_for("a", "approval"), wait_for("b", "approval"), asked=True) == State.WAITING
    after_ = Wait.objects.get(key="b")
    assert (after_.pk, after_.created_at, after_.needed) == (before.pk, before.created_at, "all")
    assert Wait.objects.get(key="a").state == WaitState.RESOLVED
    assert item(pk).state == State.WAITING


def test_what_is_there_already_is_not_waited_for(worker: Hand, store: Store) -> None:
    pk = put()
    store.signal(signal(payload=1, target=pk))
    assert park(worker, worker.take(), wait_for()) == State.QUEUED
    assert (item(pk).reason, told(worker.take())) == (Reason.ANSWERED, {"go": 1})
    assert kinds(pk)[-3:] == [EventKind.SIGNALLED, EventKind.WOKEN, EventKind.CLAIMED]


def test_a_version_may_be_made_before_the_wait(worker: Hand) -> None:
    pk = put()
    assert park(worker, worker.take(), wait_for("yes", "approval"), advance=True) == State.WAITING
    assert (item(pk).version, Wait.objects.get().base_version) == (1, 1)
    answer(pk)
    assert told(worker.take()) == {"yes": True}


def test_answers_of_one_step_are_consumed_by_a_step_that_asks_on(worker: Hand) -> None:
    pk = waiting(worker, wait_for("one", "approval"))
    answer(pk)
    assert park(worker, worker.take(), wait_for("two", "approval"), advance=True, asked=True) == State.WAITING
    states = dict(Wait.objects.values_list("key", "state"))
    assert states == {"one": WaitState.CONSUMED, "two": WaitState.OPEN}
    assert item(pk).asked


@pytest.mark.parametrize("state", [State.WAITING, State.PAUSED])
def test_a_fenced_outcome_opens_and_consumes_nothing(worker: Hand, state: str) -> None:
    pk = put()
    claimed = worker.take()
    cancelled(pk)
    before = traces(pk)
    assert park(worker, claimed, wait_for()) is None
    assert (traces(pk), Wait.objects.count()) == (before, 0)


def test_a_pause_that_was_asked_for_takes_effect_where_the_item_waits(worker: Hand, store: Store) -> None:
    pk = put()
    claimed = worker.take()
    moved(pk, EventKind.PAUSED, changes={"pause_requested": True})
    assert park(worker, claimed, wait_for()) == State.PAUSED
    found = item(pk)
    assert (found.paused_from, found.pause_requested) == (State.WAITING, False)
    store.signal(signal(target=pk, payload=2))
    assert (item(pk).state, Wait.objects.get().state) == (State.PAUSED, WaitState.RESOLVED)
    assert moved(pk, EventKind.RESUMED, state=State.WAITING, reason=Reason.SIGNAL).state == State.QUEUED


def test_ending_an_item_withdraws_its_waits_and_keeps_its_answers(worker: Hand) -> None:
    pk = waiting(worker, wait_for("a", "approval", needed="any"), wait_for("b", "approval", needed="any"))
    given = WaitAnswer(wait=Wait.objects.get(key="a").pk, by="ann", reason="", value=True, final=True)
    moved(pk, EventKind.APPROVED, answer=given)
    worker.commit(worker.take(), State.FAILED, advance=False, reason=Reason.PERMANENT_ERROR, error="{}", asked=True)
    assert dict(Wait.objects.values_list("key", "state")) == {"a": WaitState.RESOLVED, "b": WaitState.WITHDRAWN}
    moved(pk, EventKind.REDRIVEN, state=State.QUEUED, reason=Reason.REDRIVEN)
    assert told(worker.take()) == {"a": True}


def _either(hand: Hand) -> uuid.UUID:
    """Return an item that goes on with an answer to `a`, and asks for `b` still."""
    pk = waiting(hand, wait_for("a", "approval", needed="any"), wait_for("b", "approval", needed="any"))
    _say_yes(pk, "a")
    return pk


def _say_yes(pk: uuid.UUID, key: str, by: str = "ann") -> None:
    found = Wait.objects.get(work_item=pk, key=key)
    moved(pk, EventKind.APPROVED, answer=WaitAnswer(wait=found.pk, by=by, reason="", value=True, final=True))


@pytest.mark.scenario("S8")
@pytest.mark.parametrize("state", [State.RUNNING, State.DONE])
def test_an_answer_that_came_after_the_step_began_is_not_used_by_it_and_stays_on_record(
    worker: Hand, state: str
) -> None:
    pk = _either(worker)
    claimed = worker.take()
    _say_yes(pk, "b", by="bea")
    assert worker.commit(claimed, state, asked=True) == state
    used, late = Wait.objects.order_by("key")
    assert (used.state, used.consumed_version) == (WaitState.CONSUMED, 1)
    assert (late.state, late.consumed_version, late.resolution, late.resolved_by) == (
        *(WaitState.WITHDRAWN, None),
        *(True, "bea"),
    )
    assert kinds(pk)[-1] == EventKind.ANSWERED
    assert last_event(pk).data == {"key": "b", "by": "bea", "unused": True}
    assert list(verify.item(pk)) == []


@pytest.mark.scenario("S8")
def test_an_answer_that_came_while_a_step_failed_is_handed_to_the_next_run_of_it(worker: Hand) -> None:
    pk = _either(worker)
    claimed = worker.take()
    _say_yes(pk, "b")
    worker.commit(claimed, State.QUEUED, advance=False, reason=Reason.RETRY, error="{}", asked=True)
    claimed = worker.take()
    assert told(claimed) == {"a": True, "b": True}
    worker.commit(claimed, asked=True)
    assert set(Wait.objects.values_list("state", "consumed_version")) == {(WaitState.CONSUMED, 1)}
    assert EventKind.ANSWERED not in kinds(pk)


@pytest.mark.scenario("S5")
def test_a_default_that_was_taken_after_the_step_began_is_not_used_by_it(worker: Hand, store: Store) -> None:
    default = {"expires_in": 60, "has_default": True, "default": "7"}
    pk = waiting(worker, wait_for("a", "approval", needed="any"), wait_for("b", "input", needed="any", **default))
    _say_yes(pk, "a")
    claimed = worker.take()
    with after(61):
        worker.renew(claimed)
        store.sweep(batch=10)
        assert Wait.objects.get(key="b").state == WaitState.EXPIRED
        worker.commit(claimed, asked=True)
    assert dict(Wait.objects.values_list("key", "state")) == {"a": WaitState.CONSUMED, "b": WaitState.WITHDRAWN}
    assert EventKind.ANSWERED not in kinds(pk)
    assert list(verify.item(pk)) == []


def test_going_back_to_an_older_state_forgets_what_was_asked(worker: Hand, store: Store) -> None:
    pk = put()
    worker.commit(worker.take(), State.QUEUED)
    store.signal(signal(target=pk))
    assert park(worker, worker.take(), wait_for()) == State.QUEUED
    worker.commit(worker.take(), State.FAILED, advance=False, reason=Reason.PERMANENT_ERROR, error="{}", asked=True)
    moved(pk, EventKind.REDRIVEN, state=State.QUEUED, reason=Reason.REDRIVEN, restore=0)
    assert (Wait.objects.get().state, Signal.objects.get().taken_by) == (WaitState.WITHDRAWN, None)
    assert worker.take().answers is None


@pytest.mark.scenario("S7")
def test_a_signal_of_a_name_that_is_given_back_stays_with_the_item_that_took_it(worker: Hand, store: Store) -> None:
    pk = put()
    worker.commit(worker.take(), State.QUEUED)
    store.signal(signal(payload=1))
    assert park(worker, worker.take(), wait_for()) == State.QUEUED
    worker.commit(worker.take(), State.FAILED, advance=False, reason=Reason.PERMANENT_ERROR, error="{}", asked=True)
    moved(pk, EventKind.REDRIVEN, state=State.QUEUED, reason=Reason.REDRIVEN, restore=0)
    kept = Signal.objects.get()
    assert (kept.taken_by, kept.target_id, kept.consumed_version) == (None, pk, None)
    again = worker.take()
    put()
    assert park(worker, worker.take(), wait_for()) == State.WAITING, "it is nobody else's"
    assert park(worker, again, wait_for()) == State.QUEUED
    assert told(worker.take()) == {"go": 1}


# Signals --------------------------------------------------------------------------------------------------------------


@pytest.mark.scenario("S7")
@pytest.mark.parametrize("first", ["signal", "wait"])
def test_a_signal_for_a_name_reaches_whoever_waits_for_it(worker: Hand, store: Store, first: str) -> None:
    if first == "signal":
        store.signal(signal(payload="hello"))
        pk = put()
        assert park(worker, worker.take(), wait_for()) == State.QUEUED
    else:
        pk = waiting(worker, wait_for())
        _, woken = store.signal(signal(payload="hello"))
        assert [one.pk for one in woken] == [pk]
    assert told(worker.take()) == {"go": "hello"}


def test_each_signal_for_a_name_goes_to_one_the_oldest_wait_first(worker: Hand, store: Store) -> None:
    first, second = waiting(worker, wait_for()), waiting(worker, wait_for())
    assert [[one.pk for one in store.signal(signal(payload=n))[1]] for n in range(3)] == [[first], [second], []]
    assert Signal.objects.filter(taken_by=None).count() == 1


@pytest.mark.scenario("L27")
def test_namespaces_do_not_hear_each_other(worker: Hand, store: Store) -> None:
    pk = waiting(worker, wait_for(), namespace="mine")
    assert store.signal(signal(namespace="other"))[1] == []
    assert item(pk).state == State.WAITING
    assert len(store.signal(signal(namespace="mine"))[1]) == 1


def test_a_signal_for_one_item_is_not_for_another(worker: Hand, store: Store) -> None:
    pk, target = waiting(worker, wait_for()), put(delay=3600)
    assert store.signal(signal(target=target))[1] == []
    assert item(pk).state == State.WAITING


@pytest.mark.scenario("S8")
def test_a_signal_that_is_delivered_twice_is_one(worker: Hand, store: Store) -> None:
    pk = waiting(worker, wait_for())
    first, _ = store.signal(signal(payload={"n": 1}, delivery_id="d"))
    assert store.signal(signal(payload={"n": 1}, delivery_id="d")) == (first, [])
    assert Signal.objects.count() == 1
    with pytest.raises(IdempotencyConflict):
        store.signal(signal(payload={"n": 2}, delivery_id="d"))
    with pytest.raises(IdempotencyConflict):
        store.signal(signal(payload={"n": 1}, delivery_id="d", target=pk))
    assert told(worker.take()) == {"go": {"n": 1}}


def test_an_item_that_has_ended_takes_no_signal(store: Store) -> None:
    pk = put()
    cancelled(pk)
    with pytest.raises(Conflict) as caught:
        store.signal(signal(target=pk))
    assert (caught.value.state, Signal.objects.count()) == (State.CANCELLED, 0)
    with pytest.raises(NotFound):
        store.signal(signal(target=new_id()))


def test_a_signal_is_not_lost_to_an_item_that_runs(worker: Hand, store: Store) -> None:
    pk = waiting(worker, wait_for(needed="any"), wait_for("yes", "approval", needed="any"))
    given = WaitAnswer(wait=Wait.objects.get(key="yes").pk, by="ann", reason="", value=True, final=True)
    moved(pk, EventKind.APPROVED, answer=given)
    claimed = worker.take()
    store.signal(signal(target=pk))
    worker.commit(claimed, asked=True)
    assert (Wait.objects.get(key="go").state, Signal.objects.get().taken_by) == (WaitState.WITHDRAWN, None)


# Times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.scenario("S5")
def test_the_sweep_ends_the_patience_of_waits(worker: Hand, store: Store) -> None:
    default = waiting(worker, wait_for("a", "approval", expires_in=60, has_default=True, default="false"))
    none = waiting(worker, wait_for("b", "approval", expires_in=60))
    assert store.sweep(batch=10).expired == 0
    with after(61):
        assert store.sweep(batch=10).expired == 2
        assert store.sweep(batch=10).expired == 0
    assert (item(default).state, item(default).reason) == (State.QUEUED, Reason.ANSWERED)
    assert (item(none).state, item(none).reason) == (State.FAILED, Reason.WAIT_EXPIRED)
    assert (item(none).fingerprint, item(none).last_error["code"]) == ("wait_expired", "wait_expired")


def test_the_sweep_goes_on_with_the_next_batch(worker: Hand, store: Store) -> None:
    for _ in range(3):
        waiting(worker, wait_for("a", "approval", expires_in=60))
    with after(61):
        assert store.sweep(batch=2).more
        assert not store.sweep(batch=2).more
    assert not Wait.objects.filter(state=WaitState.OPEN).exists()


def test_what_nobody_answered_is_asked_anew(worker: Hand, store: Store) -> None:
    late = wait_for("b", "approval", needed="any", expires_in=60)
    pk = waiting(worker, wait_for("a", "approval", needed="any"), late)
    given = WaitAnswer(wait=Wait.objects.get(key="a").pk, by="ann", reason="", value=True, final=True)
    moved(pk, EventKind.APPROVED, answer=given)
    with after(61):
        assert store.sweep(batch=10).expired == 1
        claimed = worker.take()
        assert told(claimed) == {"a": True}
        assert park(worker, claimed, wait_for("b", "approval", expires_in=60), asked=True) == State.WAITING
    assert Wait.objects.get(key="b").state == WaitState.OPEN


@pytest.mark.scenario("S5", "L11")
@pytest.mark.parametrize("how", ["expired", "cancelled"])
def test_brought_back_an_item_waits_for_what_it_still_needs(worker: Hand, store: Store, how: str) -> None:
    """Its next step may have no other way to ask: with a state committed before, it only reads answers."""
    pk = put()
    asks = wait_for("a", "approval", expires_in=60), wait_for("b", "approval", expires_in=600)
    park(worker, worker.take(), *asks, advance=True)
    given = WaitAnswer(wait=Wait.objects.get(key="b").pk, by="ann", reason="", value=True, final=True)
    moved(pk, EventKind.APPROVED, answer=given)
    if how == "cancelled":
        cancelled(pk)
    with after(61):
        store.sweep(batch=10)
        back = moved(pk, EventKind.REDRIVEN, state=State.QUEUED, reason=Reason.REDRIVEN)
        assert (back.state, back.reason, back.finished_at) == (State.WAITING, "approval", None)
        assert store.sweep(batch=10).expired == 0
        answer(pk)
        assert told(worker.take()) == {"a": True, "b": True}
