"""Verbs against a worker that really holds the item: whatever it still writes is refused whole."""

from __future__ import annotations

import datetime as dt
import threading
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict
from runtime.models import Event, Lease, Snapshot, WorkItem
from runtime.operations.acknowledge import acknowledge
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from runtime.operations.pause import pause
from runtime.operations.prioritise import prioritise
from runtime.operations.redrive import redrive
from runtime.operations.release import release
from runtime.operations.requeue import requeue
from runtime.operations.resume import resume
from runtime.store import get_store
from runtime.store.values import Claimed, ClaimRequest, Held, NewEvent, Outcome
from tests.factories import WorkerFactory
from tests.runtime.operations.looking import Caller, fresh, last_event

pytestmark = pytest.mark.django_db

ERROR = '{"type": "ValueError", "message": "no", "code": "permanent", "traceback": ""}'


@pytest.fixture
def worker() -> uuid.UUID:
    """Register a worker."""
    return uuid.UUID(str(WorkerFactory().pk))


def claim(worker: uuid.UUID, limit: int = 1) -> list[Claimed]:
    """Claim what is due."""
    return get_store().claim(ClaimRequest(worker=worker, engines=None, pools=(), limit=limit))


def outcome(worker: uuid.UUID, claimed: Claimed, state: str = State.RUNNING, **more: Any) -> Outcome:
    """Return what a step of the claimed item came to: the next version."""
    kinds = {State.DONE: EventKind.DONE, State.FAILED: EventKind.FAILED}
    step: dict[str, Any] = {
        "advance": True,
        "data": f'{{"n": {claimed.version + 1}}}',
        "initial": None if claimed.version else '{"n": 0}',
        "events": (NewEvent(kind=kinds.get(State(state), EventKind.STEP)),),
    }
    return Outcome(
        worker=worker, item=claimed.id, epoch=claimed.epoch, version=claimed.version, state=state, **{**step, **more}
    )


TAKEN: dict[str, Callable[[WorkItem], WorkItem]] = {
    "cancel": lambda item: cancel(item.pk),
    "requeue": lambda item: requeue(item.pk),
    "release": lambda item: release(item.pk),
    "pause now": lambda item: pause(item.pk, now=True),
}


@pytest.mark.scenario("L4", "B4")
@pytest.mark.parametrize("verb", TAKEN)
def test_what_a_worker_writes_after_its_item_was_taken_leaves_no_trace(verb: str, worker: uuid.UUID) -> None:
    item = enqueue("echo", {"n": 0})
    [claimed] = claim(worker)
    taken = TAKEN[verb](item)
    events = Event.objects.filter(work_item=item.pk).count()
    assert get_store().commit([outcome(worker, claimed, State.DONE, result='"late"')]) == {}
    stored = fresh(item)
    assert (stored.state, stored.version, stored.result, stored.row_version) == (
        taken.state,
        0,
        None,
        taken.row_version,
    )
    assert Event.objects.filter(work_item=item.pk).count() == events
    assert not Snapshot.objects.filter(work_item=item.pk).exists()


@pytest.mark.scenario("L4")
@pytest.mark.parametrize("verb", TAKEN)
def test_the_worker_learns_of_it_with_its_next_heartbeat(verb: str, worker: uuid.UUID) -> None:
    item = enqueue("echo")
    [claimed] = claim(worker)
    held = Held(item.pk, claimed.epoch)
    assert get_store().renew(worker, [held]).lost == frozenset()
    TAKEN[verb](item)
    assert get_store().renew(worker, [held]).lost == frozenset({held})


@pytest.mark.parametrize("verb", ["requeue", "release"])
def test_an_item_that_was_taken_back_is_claimed_by_another_worker(verb: str, worker: uuid.UUID) -> None:
    item = enqueue("echo")
    [first] = claim(worker)
    TAKEN[verb](item)
    get_store().acknowledge(worker, [Held(item.pk, first.epoch)])
    other = uuid.UUID(str(WorkerFactory().pk))
    [second] = claim(other)
    assert (second.id, second.attempt, second.deaths) == (item.pk, 0, 0)
    assert second.epoch > first.epoch
    assert get_store().commit([outcome(other, second)]) == {item.pk: State.RUNNING}


def test_a_pause_takes_effect_when_the_step_is_committed(worker: uuid.UUID) -> None:
    item = enqueue("echo", {"n": 0})
    [claimed] = claim(worker)
    pause(item.pk, actor="ada")
    assert get_store().commit([outcome(worker, claimed)]) == {item.pk: State.PAUSED}
    stored = fresh(item)
    assert (stored.state, stored.reason, stored.version) == (State.PAUSED, Reason.OPERATOR, 1)
    assert (stored.paused_from, stored.pause_requested) == (State.QUEUED, False)
    assert not Lease.objects.filter(pk=item.pk).exists()
    assert last_event(item).kind == EventKind.PAUSED
    assert claim(worker) == []
    resume(item.pk)
    assert fresh(item).reason == Reason.CONTINUE
    assert [again.version for again in claim(worker)] == [1]


@pytest.mark.scenario("L30")
def test_a_priority_that_changes_during_a_step_costs_nothing(worker: uuid.UUID) -> None:
    item = enqueue("echo", {"n": 0})
    [claimed] = claim(worker)
    prioritise(item.pk, 5)
    assert get_store().commit([outcome(worker, claimed)]) == {item.pk: State.RUNNING}
    assert fresh(item).priority == 5


@pytest.mark.scenario("L30")
def test_the_most_urgent_item_is_claimed_first_after_priorities_change(worker: uuid.UUID) -> None:
    first, second = (enqueue("echo") for _ in range(2))
    prioritise(second.pk, 1)
    assert [claim(worker)[0].id, claim(worker)[0].id] == [second.pk, first.pk]


@pytest.mark.scenario("L8", "L11")
def test_a_dead_letter_is_acknowledged_and_redriven_from_where_it_failed(worker: uuid.UUID) -> None:
    item = enqueue("echo", {"n": 0})
    [claimed] = claim(worker)
    get_store().commit([outcome(worker, claimed)])
    failed = outcome(
        worker, claimed._replace(version=1), State.FAILED, advance=False, data=None, reason=Reason.PERMANENT_ERROR,
        error=ERROR, fingerprint="abc", attempt=1,
    )  # fmt: skip
    assert get_store().commit([failed]) == {item.pk: State.FAILED}
    assert acknowledge(item.pk, reason="seen").acknowledged_at is not None
    redriven = redrive(item.pk)
    assert (redriven.state, redriven.version, redriven.attempt, redriven.last_error) == (State.QUEUED, 1, 0, None)
    [again] = claim(worker)
    assert (again.version, again.data and again.data.replace(" ", ""), again.attempt) == (1, '{"n":1}', 0)


@pytest.mark.scenario("B11", "L46")
def test_cancelling_while_a_batch_commits_deadlocks_nobody_and_one_of_the_two_wins(transactional_db: None) -> None:
    worker = uuid.UUID(str(WorkerFactory().pk))
    ids = enqueue_many([{"engine": "echo", "payload": n} for n in range(40)])
    claimed = claim(worker, 40)
    assert len(claimed) == 40
    start = threading.Barrier(3)

    def commit() -> dict[uuid.UUID, str]:
        start.wait()
        return get_store().commit([outcome(worker, one, State.DONE, result="1") for one in claimed])

    def cancel_all(order: list[uuid.UUID]) -> set[uuid.UUID]:
        start.wait()
        cancelled = set()
        for item in order:
            try:
                cancelled.add(cancel(item).pk)
            except Conflict:
                continue
        return cancelled

    committer = Caller(commit)
    cancellers = [Caller(lambda order=order: cancel_all(order)) for order in (ids[20:], ids[:20][::-1])]
    done = set(committer.result())
    cancelled = set().union(*(caller.result() for caller in cancellers))
    assert done | cancelled == set(ids)
    assert not done & cancelled
    states = dict(WorkItem.objects.values_list("pk", "state"))
    assert {pk for pk, state in states.items() if state == State.DONE} == done
    assert Snapshot.objects.filter(version=1).count() == len(done)


@pytest.mark.scenario("L30", "L22")
def test_an_item_is_claimed_when_its_delay_is_over_and_not_before(worker: uuid.UUID) -> None:
    item = enqueue("echo", delay=60)
    assert claim(worker) == []
    with clock.shifted(dt.timedelta(seconds=61)):
        assert [claimed.id for claimed in claim(worker)] == [item.pk]


@pytest.mark.scenario("L30")
@pytest.mark.parametrize("paused", [False, True])
def test_a_missed_deadline_ends_an_item_also_when_it_was_paused_meanwhile(paused: bool) -> None:
    item = enqueue("echo", deadline=dt.timedelta(seconds=60))
    if paused:
        pause(item.pk)
    with clock.shifted(dt.timedelta(seconds=61)):
        if paused:
            resume(item.pk)
        get_store().sweep(batch=10)
        stored = fresh(item)
        assert (stored.state, stored.reason) == (State.FAILED, Reason.DEADLINE)
        assert redrive(item.pk).deadline_at is None
        get_store().sweep(batch=10)
        assert fresh(item).state == State.QUEUED
