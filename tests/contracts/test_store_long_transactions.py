"""A product's transaction that takes minutes keeps rows locked: what it costs the items that it is not about.

On PostgreSQL: SQLite has no row locks.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction

from runtime.choices import EventKind, Reason, State, WorkerState
from runtime.models import Lease, Limit, Mailbox, Resource, Worker, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.resource_capacity import set_capacity
from runtime.store import get_store
from runtime.store.base import Store
from runtime.store.postgres import lanes
from runtime.store.postgres.limited import LOOKED_AT
from runtime.store.transactions import begin
from runtime.store.values import Move
from tests.contracts.asking import ends, signal, told, wait_for, waiting, with_children
from tests.contracts.builders import Hand, Together, after, cancelled, claims, item, kinds, put
from tests.factories import MailboxFactory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("F12")]


@pytest.fixture(autouse=True)
def _impatient(settings: Any) -> None:
    """Let a lock timeout be over soon."""
    settings.ROOST_LOCK_TIMEOUT_MS = 300


def beside(first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """Do `first` in a transaction that outlasts `second`, and return what `second` came to meanwhile."""
    with transaction.atomic():
        first()
        return Together([second]).results()[0]


def lock(model: Any, **which: Any) -> Callable[[], Any]:
    """Return what locks some rows, as a product might by itself."""
    return lambda: list(model.objects.select_for_update().filter(**which))


def holder_and_waiter(hand: Hand) -> tuple[Any, Any]:
    """Return an item that runs with a resource, and another that is parked for it."""
    put(resources=["r"], priority=9)
    waiter = put(resources=["r"])
    [holder] = hand.claim()
    assert item(waiter).reason == Reason.RESOURCE
    return holder, waiter


def in_a_step(commit: Callable[[], Any]) -> Callable[[], Any]:
    """Return the commit as an atomic step makes it, within its own transaction."""

    def whole() -> Any:
        with transaction.atomic():
            return commit()

    return whole


HOW = pytest.mark.parametrize("how", [lambda commit: commit, in_a_step], ids=["alone", "in a step's transaction"])


@HOW
def test_a_cancel_of_who_waits_for_a_resource_costs_its_holder_nothing(how: Callable[..., Any], store: Store) -> None:
    hand, other = Hand(), Hand()
    holder, waiter = holder_and_waiter(hand)
    third = put(resources=["r"])
    assert beside(lambda: cancelled(waiter), how(lambda: hand.commit(holder, State.DONE))) == State.DONE
    assert (item(holder.id).version, item(holder.id).state, claims(holder.id)) == (1, State.DONE, [("r", True)])
    assert other.claim() == []
    with after(60):
        assert store.sweep(batch=10).leases_dropped == 1
        assert (claims(holder.id), other.take().id) == ([], third)


@HOW
def test_a_waiter_that_somebody_keeps_locked_does_not_keep_the_resource(how: Callable[..., Any], store: Store) -> None:
    hand, other = Hand(), Hand()
    holder, waiter = holder_and_waiter(hand)
    third = put(resources=["r"])
    done = beside(lock(WorkItem, pk=waiter), how(lambda: hand.commit(holder, State.DONE)))
    assert (done, claims(holder.id), Lease.objects.exists()) == (State.DONE, [], False)
    assert item(waiter).reason == Reason.RESOURCE
    taken = other.take()
    assert taken.id == third
    assert other.commit(taken, State.DONE) == State.DONE
    assert other.take().id == waiter


def test_a_worker_lets_go_of_a_resource_that_was_locked_when_it_may() -> None:
    hand, other = Hand(), Hand()
    holder, waiter = holder_and_waiter(hand)
    assert beside(lock(Resource, key="r"), lambda: hand.commit(holder, State.DONE)) == State.DONE
    assert Lease.objects.get(pk=holder.id).revoked_at is not None
    assert hand.acknowledge(holder) == 1
    assert (claims(holder.id), other.take().id) == ([], waiter)


@pytest.mark.scenario("L29")
@pytest.mark.parametrize("limited", [False, True], ids=["", "under a limit"])
def test_a_resource_that_somebody_is_making_stalls_no_claim_and_is_given_to_nobody(limited: bool) -> None:
    if limited:
        Limit.objects.create(name="limit", concurrency=10)
    hand = Hand()
    first = put(resources=["r"], priority=9)
    both = put(resources=["q", "r"], priority=8)
    other = put(resources=["s"])
    taken = beside(lambda: set_capacity("r", 4), hand.claim)
    assert [one.id for one in taken] == [other]
    assert [item(pk).reason for pk in (first, both)] == [Reason.NEW, Reason.NEW]
    assert (claims(first), claims(both)) == ([], [])
    assert hand.take().id == first
    assert claims(both) == [("q", False), ("r", False)]


@pytest.mark.scenario("L29")
@pytest.mark.parametrize("rule", ["", "limit", "key"])
def test_items_whose_resource_somebody_keeps_locked_hide_none_behind_them(rule: str, store: Store) -> None:
    hand = Hand()
    set_capacity("r", 2)
    if rule == "limit":
        Limit.objects.create(name="limit", concurrency=1)
    key = {"fair_key": "k"} if rule == "key" else {}
    hidden = [put(resources=["r"], **key) for _ in range(LOOKED_AT + 2)]
    other = put(resources=["s"], **key)
    plain = put(**key)
    taken = beside(lock(Resource, key="r"), lambda: hand.claim(limit=1))
    assert [one.id for one in taken] == [other], "it comes before what needs none"
    assert {item(pk).reason for pk in hidden} == {Reason.NEW}
    hand.commit(taken[0], State.DONE)
    assert hand.take(limit=1).id == hidden[0]
    assert item(plain).state == State.QUEUED


@pytest.mark.scenario("L29")
@pytest.mark.parametrize("resources", [["s", "r"], ["r"]], ids=["one of them is to be had", "there are no more"])
def test_a_claim_under_a_limit_looks_behind_locked_resources_only_where_it_must(
    resources: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    needing = lanes.needing
    monkeypatch.setattr(lanes, "needing", lambda *asked: (looks.append(asked[-1]), needing(*asked))[1])
    Limit.objects.create(name="limit", concurrency=10)
    set_capacity("r", 2)
    for name in resources:
        put(resources=[name])
    put()
    taken = beside(lock(Resource, key="r"), lambda: Hand().claim(limit=2))
    assert (len(taken), looks) == (len(resources), [2])


@HOW
def test_a_parent_that_somebody_keeps_locked_costs_its_children_nothing(how: Callable[..., Any], store: Store) -> None:
    hand = Hand()
    pk, (first, last) = with_children(hand, 2)
    ends(hand, first)
    assert beside(lock(WorkItem, pk=pk), how(lambda: ends(hand, last))) == State.DONE
    assert (item(last.id).state, item(pk).state) == (State.DONE, State.WAITING)
    store.sweep(batch=10)
    assert (item(pk).state, item(pk).reason) == (State.QUEUED, Reason.ANSWERED)


def test_a_child_that_is_cancelled_for_minutes_does_not_keep_its_siblings_from_ending(store: Store) -> None:
    hand = Hand()
    pk, (first, last) = with_children(hand, 2)
    assert beside(lambda: cancel(first.id), lambda: ends(hand, last)) == State.DONE
    assert (item(first.id).state, item(last.id).state) == (State.CANCELLED, State.DONE)
    store.sweep(batch=10)
    assert (item(pk).state, kinds(pk).count(EventKind.WOKEN)) == (State.QUEUED, 1)


def test_a_parent_that_somebody_keeps_locked_hides_no_other(store: Store) -> None:
    hand = Hand()
    families = [with_children(hand, 1) for _ in range(3)]
    WorkItem.objects.filter(pk__in=[child.id for _, (child,) in families]).update(state=State.DONE)
    locked = min(pk for pk, _ in families)
    woken = beside(lock(WorkItem, pk=locked), lambda: get_store().sweep(batch=10).woken)
    assert woken == 2
    assert [pk for pk, _ in families if item(pk).state == State.WAITING] == [locked]


@pytest.mark.scenario("L33")
def test_a_child_that_is_enqueued_while_its_parent_is_cancelled_is_cancelled_too(store: Store) -> None:
    pk = put()
    born: list[uuid.UUID] = []

    def decide(found: WorkItem) -> Move:
        born.extend(Together([lambda: put(parent_id=pk, relation="child")]).results())
        return Move(kind=EventKind.CANCELLED, state=State.CANCELLED, reason="")

    family: list[WorkItem] = []
    store.move(pk, decide, actor="", reason="", family=family)
    assert [one.pk for one in family] == born
    assert [item(one).state for one in (pk, *born)] == [State.CANCELLED] * 2


def test_a_dead_holder_is_taken_back_beside_a_waiter_that_somebody_keeps_locked() -> None:
    hand = Hand()
    holder, waiter = holder_and_waiter(hand)
    assert beside(lock(WorkItem, pk=waiter), hand.die).recovered == 1
    assert (item(holder.id).state, claims(holder.id)) == (State.QUEUED, [])


def asks(hand: Hand, claimed: Any) -> Any:
    """Return the outcome of a step that asks for a signal."""
    initial = '{"count": 0}' if claimed.data is None else None
    return hand.outcome(claimed, State.WAITING, reason="signal", waits=(wait_for(),), advance=False, initial=initial)


@HOW
@pytest.mark.parametrize("new", [True, False], ids=["a new name", "a known name"])
@pytest.mark.scenario("S7")
def test_a_signal_that_is_sent_for_minutes_costs_who_begins_to_wait_nothing(
    how: Callable[..., Any], new: bool, store: Store
) -> None:
    if not new:
        MailboxFactory(name="go")
    pk, other, hand = put(), put(), Hand()
    claimed = {one.id: one for one in hand.claim()}
    outcomes = [asks(hand, claimed[pk]), hand.outcome(claimed[other], State.DONE)]
    committed = beside(lambda: store.signal(signal(payload=1)), how(lambda: store.commit(outcomes)))
    assert committed == {pk: State.WAITING, other: State.DONE}
    assert (item(pk).state, item(pk).reason) == (State.QUEUED, Reason.ANSWERED), "the sender looks again"
    assert told(hand.take()) == {"go": 1}


@pytest.mark.scenario("S7")
def test_a_signal_that_was_there_is_found_by_a_sweep_where_its_mailbox_was_locked(store: Store) -> None:
    store.signal(signal(payload=1))
    hand = Hand()
    stranger = waiting(hand, wait_for("other"))
    pk = put()
    claimed = hand.take()
    with transaction.atomic():
        lock(Mailbox, name="go")()
        assert Together([lambda: hand.store.commit([asks(hand, claimed)])]).results() == [{pk: State.WAITING}]
        assert Together([lambda: hand.store.sweep(batch=10).woken]).results() == [0]
    assert store.sweep(batch=10).woken == 1
    assert (item(pk).state, kinds(pk).count(EventKind.WOKEN)) == (State.QUEUED, 1)
    assert item(stranger).state == State.WAITING
    assert told(hand.take()) == {"go": 1}


@pytest.mark.scenario("S7")
def test_a_mailbox_that_is_free_again_when_who_waits_commits_is_looked_into_then(store: Store) -> None:
    pk, hand = put(), Hand()
    store.signal(signal(payload=1))
    claimed = hand.take()
    written, freed = threading.Event(), threading.Event()

    def step() -> Any:
        with transaction.atomic():
            states = hand.store.commit([asks(hand, claimed)])
            written.set()
            assert freed.wait(10)
        return states

    with transaction.atomic():
        lock(Mailbox, name="go")()
        running = Together([step])
        assert written.wait(10)
    freed.set()
    assert running.results() == [{pk: State.WAITING}]
    assert told(hand.take()) == {"go": 1}


@pytest.mark.scenario("L47")
def test_an_item_that_somebody_keeps_locked_does_not_keep_others_from_being_given_back() -> None:
    pks, hand = [put() for _ in range(3)], Hand()
    claimed = hand.claim()
    assert beside(lock(WorkItem, pk=pks[1]), lambda: hand.release(*claimed)) == 2
    assert [item(pk).state for pk in pks] == [State.QUEUED, State.RUNNING, State.QUEUED]
    assert hand.release(*claimed) == 1


@pytest.mark.scenario("L26")
def test_a_worker_whose_row_somebody_keeps_locked_keeps_its_leases() -> None:
    pk, hand = put(), Hand()
    claimed = hand.take()
    expires, beat_at = Lease.objects.get(pk=pk).expires_at, Worker.objects.get(pk=hand.id).heartbeat_at
    with after(10):
        beat = beside(lock(Worker, pk=hand.id), lambda: hand.renew(claimed))
        assert (beat.lost, beat.strangers, beat.desired_state) == (frozenset(), frozenset(), WorkerState.ONLINE)
        assert Lease.objects.get(pk=pk).expires_at > expires
        assert Worker.objects.get(pk=hand.id).heartbeat_at == beat_at
        hand.renew(claimed)
        assert Worker.objects.get(pk=hand.id).heartbeat_at > beat_at


def test_a_worker_that_somebody_is_removing_goes_on_until_it_is_gone() -> None:
    hand = Hand()
    beat = beside(lambda: Worker.objects.filter(pk=hand.id).delete(), hand.renew)
    assert (beat.desired_state, hand.renew().desired_state) == (WorkerState.ONLINE, WorkerState.OFFLINE)


@pytest.mark.scenario("L26")
@pytest.mark.parametrize("model", [Lease, WorkItem])
def test_a_row_that_somebody_keeps_locked_does_not_keep_other_leases_from_being_renewed(model: Any) -> None:
    pks, hand = [put() for _ in range(3)], Hand()
    claimed = hand.claim()
    before = dict(Lease.objects.values_list("pk", "expires_at"))
    with after(10):
        beat = beside(lock(model, pk=pks[1]), lambda: hand.renew(*claimed))
    assert beat.lost == frozenset()
    renewed = {pk for pk, expires in Lease.objects.values_list("pk", "expires_at") if expires > before[pk]}
    assert renewed == ({pks[0], pks[2]} if model is Lease else set(pks))


def test_a_shorter_wait_within_a_transaction_ends_with_it() -> None:
    def setting() -> str:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT current_setting('lock_timeout')")
            return str(cursor.fetchone()[0])

    hand = Hand()
    holder, waiter = holder_and_waiter(hand)

    def released() -> tuple[str, str]:
        with begin("default"):
            before = setting()
            hand.release(holder)
            return before, setting()

    assert beside(lock(WorkItem, pk=waiter), released) == ("300ms", "300ms")
