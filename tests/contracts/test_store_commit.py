"""Committing: an outcome is written whole, or leaves no trace at all."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from runtime import clock
from runtime.choices import EventKind, Reason, State
from runtime.models import Artifact, Blob, Event, Lease, Snapshot, WorkItem
from runtime.models.workitem import new_id
from runtime.store.base import Store
from runtime.store.values import Claimed, NewArtifact, NewEvent
from tests.contracts.builders import (
    Hand,
    after,
    cancelled,
    item,
    kinds,
    last_event,
    moved,
    new_item,
    put,
    traces,
    undone,
    versions,
)

pytestmark = pytest.mark.django_db

ERROR = json.dumps({"type": "RetryableError", "code": "retryable", "message": "no luck"})


def retry(worker: Hand, claimed: Claimed, attempt: int, delay: float = 30.0, **values: Any) -> str | None:
    """Commit a failed attempt."""
    told = (NewEvent(kind=EventKind.RETRY, reason=Reason.RETRY, data=ERROR, duration=0.5),)
    usual: dict[str, Any] = {"reason": Reason.RETRY, "error": ERROR, "fingerprint": "f1", "events": told}
    return worker.commit(
        claimed, State.QUEUED, advance=False, attempt=attempt, delay=delay, duration=0.5, **(usual | values)
    )


@pytest.mark.scenario("L1", "L23")
def test_a_step_writes_a_version_and_keeps_the_lease(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    assert worker.commit(claimed, label="fetch", duration=0.25) == State.RUNNING
    found = item(pk)
    assert (found.state, found.version, found.steps_total, found.epoch) == (State.RUNNING, 1, 1, 1)
    assert (found.step_label, found.duration_total) == ("fetch", 0.25)
    assert versions(pk) == [0, 1]
    assert Snapshot.objects.get(work_item=pk, version=0).data == {"count": 0}
    latest = Snapshot.objects.get(work_item=pk, version=1)
    assert (latest.data, latest.epoch, latest.label, latest.restored_from) == ({"count": 1}, 1, "fetch", None)
    assert Lease.objects.get(pk=pk).epoch == 1
    assert kinds(pk) == [EventKind.ENQUEUED, EventKind.CLAIMED, EventKind.STEP]
    told = last_event(pk)
    assert (told.version, told.epoch, told.worker, told.attempt) == (1, 1, worker.id, 0)


@pytest.mark.scenario("L1")
def test_what_was_used_is_added_once_whatever_the_outcome(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    worker.commit(claimed, duration=0.25, tokens=7, cost=2**40)
    worker.commit(claimed, version=1, duration=0.25)
    assert worker.commit(claimed, version=1, tokens=100, cost=100) is None
    worker.commit(claimed, State.QUEUED, version=2, advance=False, reason=Reason.RETRY, error=ERROR, tokens=1, cost=0)
    found = item(pk)
    assert (found.tokens_total, found.cost_total, found.duration_total) == (8, 2**40, 0.5)


@pytest.mark.scenario("L1", "L23")
def test_each_step_adds_one_version_and_a_wait_adds_none(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    for version in range(3):
        assert worker.commit(claimed, version=version, initial='{"count": 0}' if not version else None)
    assert worker.commit(claimed, State.QUEUED, version=3, advance=False, delay=5.0, reason=Reason.DELAY)
    assert versions(pk) == [0, 1, 2, 3]
    assert (item(pk).version, item(pk).steps_total) == (3, 3)
    assert item(pk).row_version == 6
    assert last_event(pk).version == 3


@pytest.mark.scenario("L2", "L20")
def test_the_last_step_and_the_end_are_one_write(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    events = (NewEvent(kind=EventKind.STEP), NewEvent(kind=EventKind.DONE))
    assert worker.commit(claimed, State.DONE, result='{"answer": [42, null]}', events=events) == State.DONE
    found = item(pk)
    assert (found.state, found.reason, found.result) == (State.DONE, "", {"answer": [42, None]})
    assert found.finished_at is not None
    assert not Lease.objects.filter(pk=pk).exists()
    assert kinds(pk)[2:] == [EventKind.STEP, EventKind.DONE]
    assert worker.claim() == []


@pytest.mark.scenario("L6", "L22")
def test_a_failed_attempt_waits_for_its_backoff_and_writes_no_version(worker: Hand) -> None:
    pk = put()
    before = clock.now("default")
    assert retry(worker, worker.take(), 1) == State.QUEUED
    found = item(pk)
    assert (found.state, found.reason, found.attempt, found.version) == (State.QUEUED, Reason.RETRY, 1, 0)
    assert (found.last_error["message"], found.fingerprint) == ("no luck", "f1")
    assert found.run_at >= before + dt.timedelta(seconds=30)
    assert versions(pk) == []
    assert not Lease.objects.filter(pk=pk).exists()
    assert worker.claim() == []
    told = last_event(pk)
    assert (told.kind, told.reason, told.attempt, told.duration) == (EventKind.RETRY, Reason.RETRY, 1, 0.5)
    assert told.data["message"] == "no luck"
    with after(31):
        assert worker.take().attempt == 1


@pytest.mark.scenario("L7", "L8")
def test_an_item_that_fails_for_good_is_a_dead_letter(worker: Hand) -> None:
    pk = put()
    events = (NewEvent(kind=EventKind.FAILED, reason=Reason.ATTEMPTS_EXHAUSTED, data=ERROR),)
    claimed = worker.take()
    outcome: dict[str, Any] = {"advance": False, "error": ERROR, "fingerprint": "f1", "attempt": 5, "events": events}
    assert worker.commit(claimed, State.FAILED, reason=Reason.ATTEMPTS_EXHAUSTED, **outcome) == State.FAILED
    found = item(pk)
    assert (found.state, found.reason, found.attempt) == (State.FAILED, Reason.ATTEMPTS_EXHAUSTED, 5)
    assert (found.last_error["code"], found.finished_at is not None) == ("retryable", True)
    assert worker.claim(alone=True) == []


@pytest.mark.scenario("L24", "L25")
def test_success_clears_the_error_and_history_keeps_every_attempt(worker: Hand) -> None:
    pk = put()
    for attempt in (1, 2):
        retry(worker, worker.take(), attempt, delay=0.0)
    assert worker.commit(worker.take(), State.RUNNING) == State.RUNNING
    found = item(pk)
    assert (found.attempt, found.last_error, found.fingerprint) == (0, None, "")
    told = Event.objects.filter(work_item=pk, kind=EventKind.RETRY).order_by("seq")
    assert [(event.attempt, event.data["message"]) for event in told] == [(1, "no luck"), (2, "no luck")]


def test_a_wait_after_a_failed_attempt_keeps_the_error(worker: Hand) -> None:
    pk = put()
    retry(worker, worker.take(), 1, delay=0.0)
    worker.commit(worker.take(), State.QUEUED, advance=False, reason=Reason.DELAY)
    assert item(pk).fingerprint == "f1"


def test_a_committed_step_takes_the_deaths_back(worker: Hand) -> None:
    pk = put()
    WorkItem.objects.filter(pk=pk).update(deaths=1)
    claimed = worker.take()
    worker.commit(claimed, State.QUEUED, advance=False, reason=Reason.DELAY)
    assert item(pk).deaths == 1
    worker.commit(worker.take())
    assert item(pk).deaths == 0


@pytest.mark.scenario("L30")
def test_a_delay_puts_the_item_back_with_its_due_time(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    assert worker.commit(claimed, State.QUEUED, delay=60.0, reason=Reason.DELAY) == State.QUEUED
    assert (item(pk).reason, item(pk).version) == (Reason.DELAY, 1)
    assert worker.claim() == []
    with after(61):
        assert worker.take().version == 1


@pytest.mark.scenario("B6")
def test_a_delay_of_a_century_is_stored(worker: Hand) -> None:
    pk = put()
    worker.commit(worker.take(), State.QUEUED, delay=100 * 365 * 86_400.0, reason=Reason.DELAY)
    assert item(pk).run_at.year >= 2100


@pytest.mark.scenario("L4", "L26", "B4")
@pytest.mark.parametrize("taken_by", ["cancel", "requeue", "sweep", "release", "wait", "pause"])
def test_a_late_outcome_changes_nothing_at_all(worker: Hand, taken_by: str) -> None:
    pk = put()
    claimed = worker.take()
    match taken_by:
        case "cancel":
            cancelled(pk)
        case "requeue":
            moved(pk, state=State.QUEUED, reason=Reason.REQUEUED, fence=True)
        case "sweep":
            worker.die()
        case "release":
            worker.release(claimed)
        case "wait":
            worker.commit(claimed, State.QUEUED, advance=False, delay=5.0, reason=Reason.DELAY)
        case "pause":
            WorkItem.objects.update(pause_requested=True)
            worker.commit(claimed, State.QUEUED, advance=False, reason=Reason.DELAY)
    before = traces(pk)
    assert worker.commit(claimed, **everything(pk)) is None
    assert traces(pk) == before
    assert WorkItem.objects.count() == 1
    assert not Artifact.objects.exists()


def everything(pk: Any) -> dict[str, Any]:
    """Return what an outcome may bring besides its state."""
    Blob.objects.get_or_create(
        sha256="a" * 64, defaults={"size": 3, "path": "aa/aa", "touched_at": clock.now("default")}
    )
    artifact = NewArtifact(
        id=new_id(),
        name="evidence.json",
        kind="json",
        content_type="application/json",
        size=3,
        sha256="a" * 64,
        metadata='{"page": 1}',
    )
    events = (NewEvent(kind=EventKind.LOG, data='{"message": "hello"}'), NewEvent(kind=EventKind.STEP))
    return {"artifacts": (artifact,), "children": (new_item(parent_id=pk, relation="child"),), "events": events}


@pytest.mark.scenario("L26", "B4")
@pytest.mark.parametrize("wrong", [{"epoch": 0}, {"epoch": 2}, {"version": 1}, {"version": -1}])
def test_an_outcome_of_another_epoch_or_version_is_refused(worker: Hand, wrong: dict[str, int]) -> None:
    pk = put()
    claimed = worker.take()
    before = traces(pk)
    assert worker.commit(claimed, **wrong) is None
    assert traces(pk) == before


def test_the_same_outcome_is_written_once(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    outcome = worker.outcome(claimed)
    assert worker.store.commit([outcome]) == {pk: State.RUNNING}
    before = traces(pk)
    assert worker.store.commit([outcome]) == {}
    assert traces(pk) == before


def test_one_fenced_row_leaves_its_neighbours_alone(worker: Hand) -> None:
    ids = [put() for _ in range(4)]
    batch = worker.claim()
    cancelled(ids[2])
    answer = worker.store.commit([worker.outcome(claimed) for claimed in reversed(batch)])
    assert answer == {pk: State.RUNNING for pk in ids if pk != ids[2]}
    assert [item(pk).version for pk in ids] == [1, 1, 0, 1]


@pytest.mark.scenario("L47")
def test_a_row_that_the_database_refuses_writes_none_of_its_batch(worker: Hand) -> None:
    ids = [put() for _ in range(3)]
    batch = worker.claim()
    outcomes = [worker.outcome(claimed) for claimed in batch]
    outcomes[1] = worker.outcome(batch[1], data="{not json")
    with pytest.raises((DatabaseError, ValueError)), transaction.atomic():
        worker.store.commit(outcomes)
    assert [item(pk).version for pk in ids] == [0, 0, 0]
    assert [kinds(pk)[-1] for pk in ids] == [EventKind.CLAIMED] * 3
    rest = worker.store.commit([outcomes[0], outcomes[2]])
    assert set(rest) == {ids[0], ids[2]}


def test_a_batch_of_mixed_outcomes_is_written(worker: Hand) -> None:
    ids = [put() for _ in range(6)]
    first, second, third, fourth, fifth, sixth = worker.claim()
    answer = worker.store.commit(
        [
            worker.outcome(first),
            worker.outcome(second, State.DONE, result='"fin"'),
            worker.outcome(third, State.QUEUED, delay=9.0, reason=Reason.DELAY),
            worker.outcome(fourth, State.FAILED, advance=False, error=ERROR, reason=Reason.PERMANENT_ERROR),
            worker.outcome(fifth, State.WAITING, reason=Reason.SIGNAL),
            worker.outcome(sixth, State.PAUSED, reason=Reason.BUDGET),
        ]
    )
    states = [State.RUNNING, State.DONE, State.QUEUED, State.FAILED, State.WAITING, State.PAUSED]
    assert [answer[pk] for pk in ids] == states
    assert [item(pk).state for pk in ids] == states
    assert list(Lease.objects.values_list("pk", flat=True)) == [ids[0]]
    waiting, paused = item(ids[4]), item(ids[5])
    assert waiting.away_since is not None
    assert (paused.away_since is not None, paused.paused_from) == (True, State.QUEUED)


def test_artifacts_children_and_events_are_written_with_the_step(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    extras = everything(pk)
    assert worker.commit(claimed, **extras) == State.RUNNING
    stored = Artifact.objects.get(work_item=pk)
    given = extras["artifacts"][0]
    assert (stored.pk, stored.version, stored.name, stored.kind) == (given.id, 1, "evidence.json", "json")
    assert (stored.size, stored.sha256, stored.metadata) == (3, "a" * 64, {"page": 1})
    child = WorkItem.objects.get(parent=pk)
    assert (child.pk, child.state, child.relation) == (extras["children"][0].id, State.QUEUED, "child")
    assert kinds(child.pk) == [EventKind.ENQUEUED]
    assert kinds(pk)[2:] == [EventKind.LOG, EventKind.STEP]
    assert Event.objects.get(work_item=pk, kind=EventKind.LOG).data == {"message": "hello"}


def test_texts_of_every_kind_survive_a_step(worker: Hand) -> None:
    pk = put()
    text = '{"t": "a,b{c}\\"d\\\\e\\nf NULL %s ? 😀 \'", "n": [1.5, null, true]}'
    label = "la\"bel, {x} \\ 'q' %s"
    claimed = worker.take()
    worker.commit(claimed, State.DONE, data=text, result=text, label=label)
    snapshot = Snapshot.objects.get(work_item=pk, version=1)
    assert (snapshot.data, snapshot.label) == (json.loads(text), label)
    assert (item(pk).result, item(pk).step_label) == (json.loads(text), label)


def test_a_requested_pause_takes_effect_at_the_steps_end(worker: Hand) -> None:
    ids = [put() for _ in range(3)]
    running, queued, done = worker.claim()
    WorkItem.objects.update(pause_requested=True)
    answer = worker.store.commit(
        [
            worker.outcome(running),
            worker.outcome(queued, State.QUEUED, delay=30.0, reason=Reason.DELAY),
            worker.outcome(done, State.DONE),
        ]
    )
    assert [answer[pk] for pk in ids] == [State.PAUSED, State.PAUSED, State.DONE]
    for pk in ids[:2]:
        found = item(pk)
        assert (found.state, found.reason, found.paused_from) == (State.PAUSED, Reason.OPERATOR, State.QUEUED)
        assert (found.version, found.pause_requested) == (1, False)
        assert found.away_since is not None
        assert kinds(pk)[2:] == [EventKind.STEP, EventKind.PAUSED]
    assert not Lease.objects.exists()
    assert worker.commit(running, version=1) is None


def test_nothing_to_commit_is_fine(store: Store) -> None:
    assert store.commit([]) == {}


def test_a_step_inside_the_callers_transaction_goes_with_it(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    undone(lambda: worker.commit(claimed))
    assert (item(pk).version, versions(pk)) == (0, [])
    assert worker.commit(claimed) == State.RUNNING


@pytest.mark.scenario("L34")
def test_a_long_life_is_counted_without_a_gap(worker: Hand) -> None:
    pk = put()
    claimed = worker.take()
    for version in range(300):
        assert worker.commit(claimed, version=version, initial="0" if not version else None) == State.RUNNING
    assert versions(pk) == list(range(301))
    assert len(kinds(pk)) == 302
