"""A fork goes on from where an item has been, and leaves that item as it was."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from runtime.choices import EventKind, Reason, State
from runtime.exceptions import Conflict, Forbidden, IdempotencyConflict, InvalidInput, NotFound, StaleVersion
from runtime.jsondata import same_json
from runtime.models import Event, PrunedHistory, Snapshot, WorkItem
from runtime.models.workitem import new_id
from runtime.operations.cancel import cancel
from runtime.operations.fork import Fork, fork
from runtime.queries import verify
from runtime.testing import drain
from tests.contracts.builders import until, waiting_for_locks
from tests.factories import SnapshotFactory, WorkItemFactory, now
from tests.runtime.operations.looking import Caller, fresh, last_event, told, values

pytestmark = pytest.mark.django_db

TOUCHED = {"event_seq", "row_version", "updated_at", "events"}


def unchanged(item: WorkItem, before: dict[str, Any]) -> bool:
    """Say whether the item is as it was, but for the one event it got."""
    after = values(item)
    assert after["events"] == before["events"] + 1
    return all(after[name] == before[name] for name in before.keys() - TOUCHED)


@pytest.mark.scenario("S11")
@pytest.mark.parametrize("state", ["queued", "running", "waiting", "paused", "done", "failed", "cancelled"])
def test_a_fork_of_an_item_in_any_state_starts_from_its_snapshot_and_leaves_it_untouched(state: str) -> None:
    item = WorkItemFactory(
        **({state: True} if state != "queued" else {}),
        version=3,
        config={"model": "small"},
        priority=4,
        fair_key="ann",
        resources=[{"key": "page", "mode": "exclusive", "units": 1, "scope": "item"}],
        max_steps=7,
        steps_total=6,
        deadline_at=now(100),
    )
    before, snapshots = values(item), list(item.snapshots.order_by("version").values())
    made = fork(item.pk, version=2, reason="try again", actor="ann")
    assert unchanged(item, before)
    assert list(item.snapshots.order_by("version").values()) == snapshots
    assert (made.state, made.reason, made.version, made.epoch, made.steps_total) == (State.QUEUED, Reason.NEW, 0, 0, 0)
    assert (made.forked_from_id, made.forked_version, made.relation, made.parent_id) == (item.pk, 2, "fork", None)
    for name in ("namespace", "engine", "engine_version", "payload", "config", "priority", "fair_key", "resources"):
        assert getattr(made, name) == getattr(item, name)
    assert (made.limited, made.max_steps, made.deadline_at) == (True, 7, None)
    [first] = made.snapshots.all()
    assert (first.version, first.data, first.label) == (0, {"count": 2}, "step 2")
    assert [event.kind for event in made.events.order_by("seq")] == [EventKind.ENQUEUED, EventKind.FORKED]
    facts = {"version": 2, "edited": False}
    assert last_event(made).data == {"from": str(item.pk), **facts}
    told_of = last_event(item)
    assert (told_of.kind, told_of.data) == (EventKind.FORKED, {"fork": str(made.pk), **facts})
    assert (told_of.actor, told_of.reason) == ("ann", "try again")
    assert verify.item(made.pk) == []


@pytest.mark.scenario("S11")
def test_the_fork_runs_on_from_the_edited_state_and_the_original_does_not_hear_of_it(settings: Any) -> None:
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    item = WorkItemFactory(failed=True, version=1, payload={"count_to": 5})
    made = fork(item.pk, state={"count": 4}, payload={"count_to": 6})
    with told() as heard:
        drain(skip_delays=True)
    assert heard == []
    ended = fresh(made)
    assert (ended.state, ended.steps_total) == (State.DONE, 2)
    assert ended.snapshots.get(version=0).data == {"count": 4}
    assert (fresh(item).state, fresh(item).version) == (State.FAILED, 1)
    assert verify.item(made.pk) == verify.item(item.pk) == []


@pytest.mark.parametrize("state", [None, {"é": "😀"}, [1, 2.5, 1e23], "text"])
def test_any_json_may_be_the_edited_state(state: Any) -> None:
    made = fork(WorkItemFactory(done=True).pk, state=state)
    assert same_json(made.snapshots.get().data, state)


def test_workers_are_woken_for_a_fork_once_it_is_committed(django_capture_on_commit_callbacks: Any) -> None:
    item = WorkItemFactory(done=True)
    with told() as heard, django_capture_on_commit_callbacks(execute=True):
        made = fork(item.pk)
    assert made.pk in heard


@pytest.mark.scenario("S11")
def test_the_same_key_gives_the_same_fork_and_tells_the_original_once() -> None:
    item = WorkItemFactory(failed=True, version=2)
    first = fork(item.pk, version=1, state={"count": 9}, idempotency_key="k")
    assert fork(item.pk, version=1, state={"count": 9}, idempotency_key="k").pk == first.pk
    assert Event.objects.filter(kind=EventKind.FORKED).count() == 2


@pytest.mark.parametrize(
    "other", [{"version": 2}, {"state": {"count": 8}}, {"payload": {"count_to": 1}}, {"engine_version": "2"}]
)
def test_the_key_of_another_fork_is_a_conflict(other: dict[str, Any], settings: Any) -> None:
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    item = WorkItemFactory(failed=True, version=2)
    first = fork(item.pk, version=1, state={"count": 9}, idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match=str(first.pk)):
        fork(item.pk, **{"version": 1, "state": {"count": 9}, "idempotency_key": "k", **other})
    assert WorkItem.objects.count() == 2


@pytest.mark.scenario("S11")
def test_a_key_sent_again_finds_its_fork_whoever_wrote_the_original_since() -> None:
    item = WorkItemFactory(failed=True, version=2)
    seen = item.row_version
    first = Fork(item.pk, row_version=seen, idempotency_key="k")
    again = Fork(item.pk, row_version=seen, idempotency_key="k")
    made = first.execute()
    assert (again.execute().pk, first.made, again.made) == (made.pk, True, False)
    again.check()
    with pytest.raises(StaleVersion):
        fork(item.pk, row_version=seen, idempotency_key="other")


@pytest.mark.scenario("S11")
def test_a_fork_of_the_latest_version_is_found_though_the_original_went_on() -> None:
    item = WorkItemFactory(version=1)
    made = fork(item.pk, idempotency_key="k")
    SnapshotFactory(work_item=item, version=2, data={"count": 2})
    WorkItem.objects.filter(pk=item.pk).update(version=2)
    assert fork(item.pk, idempotency_key="k").pk == made.pk
    assert fork(item.pk, version=1, idempotency_key="k").pk == made.pk
    with pytest.raises(IdempotencyConflict, match=str(made.pk)):
        fork(item.pk, version=2, idempotency_key="k")
    assert WorkItem.objects.count() == 2


@pytest.mark.scenario("S11")
@pytest.mark.parametrize("said", [{"state": {"count": 9}}, {"state": None}, {}])
def test_a_fork_is_found_though_the_snapshot_that_it_began_from_is_gone(said: dict[str, Any]) -> None:
    item = WorkItemFactory(failed=True, version=2)
    made = fork(item.pk, version=1, idempotency_key="k", **said)
    item.snapshots.filter(version=1).delete()
    assert fork(item.pk, version=1, idempotency_key="k", **said).pk == made.pk
    with pytest.raises(IdempotencyConflict):
        fork(item.pk, version=1, idempotency_key="k", state={"count": 8})


@pytest.mark.scenario("S11")
def test_a_fork_is_found_while_its_original_is_being_removed_and_no_other_is_made() -> None:
    item = WorkItemFactory(done=True)
    made = fork(item.pk, idempotency_key="k")
    PrunedHistory.objects.create(work_item=item, going_since=now(), pruned_at=now())
    WorkItem.objects.filter(pk=made.pk).update(forked_from=None)
    assert fork(item.pk, idempotency_key="k").pk == made.pk
    with pytest.raises(Conflict, match="is being removed now"):
        fork(item.pk, idempotency_key="other")
    other = WorkItemFactory(done=True)
    with pytest.raises(IdempotencyConflict):
        fork(other.pk, idempotency_key="k")


@pytest.mark.scenario("S11")
@pytest.mark.parametrize("first", [{"state": {"count": 9}}, {"payload": {"count_to": 9}}, {"engine_version": "2"}])
def test_what_was_said_first_is_not_what_is_taken_over(first: dict[str, Any], settings: Any) -> None:
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    item = WorkItemFactory(failed=True, version=2)
    made = fork(item.pk, version=1, idempotency_key="k", **first)
    with pytest.raises(IdempotencyConflict, match=str(made.pk)):
        fork(item.pk, version=1, idempotency_key="k")
    assert fork(item.pk, version=1, idempotency_key="k", **first).pk == made.pk


def test_the_key_of_an_item_that_is_no_fork_is_a_conflict() -> None:
    item, holder = WorkItemFactory(done=True), WorkItemFactory(idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match=f"{holder.pk}, which is not this fork"):
        fork(item.pk, idempotency_key="k")


def test_a_version_without_a_snapshot_is_a_conflict_and_stores_nothing() -> None:
    item, new = WorkItemFactory(failed=True, version=2), WorkItemFactory()
    before = values(item)
    with pytest.raises(Conflict, match="is failed at version 2 and has no snapshot of version 9") as caught:
        fork(item.pk, version=9)
    assert caught.value.state == "failed"
    with pytest.raises(Conflict, match="no snapshot of version 0"):
        fork(new.pk)
    assert values(item) == before
    assert WorkItem.objects.count() == 2


def test_what_cannot_be_forked_is_refused_before_anything_is_stored(settings: Any) -> None:
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    item = WorkItemFactory(done=True)
    for wrong in ({"version": -1}, {"state": {1}}, {"payload": {"count_to": "x"}}, {"payload": float("nan")}):
        with pytest.raises(InvalidInput):
            fork(item.pk, **wrong)
    with pytest.raises(NotFound):
        fork(new_id())
    with pytest.raises(StaleVersion):
        fork(item.pk, row_version=item.row_version + 1)
    with pytest.raises(Forbidden, match="fork_workitem"):
        fork(item.pk, by=User.objects.create(username="ann"))
    assert WorkItem.objects.count() == 1


def test_check_says_what_execute_would_and_changes_nothing() -> None:
    item = WorkItemFactory(done=True)
    before = values(item)
    Fork(item.pk).check()
    with pytest.raises(Conflict):
        Fork(item.pk, version=5).check()
    assert values(item) == before
    assert WorkItem.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("S11")
def test_a_rollback_of_the_caller_takes_the_fork_with_it() -> None:
    item = WorkItemFactory(done=True)
    before = values(item)
    with told() as heard, transaction.atomic():
        fork(item.pk)
        transaction.set_rollback(True)
    assert (values(item), heard, Snapshot.objects.count()) == (before, [], 2)


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("S11")
def test_racing_forks_with_one_key_are_one_and_without_are_many() -> None:
    item = WorkItemFactory(done=True)
    start = threading.Barrier(8)

    def call(key: str | None) -> Any:
        start.wait()
        return fork(item.pk, idempotency_key=key).pk

    same = [Caller(lambda: call("k")) for _ in range(4)]
    each = [Caller(lambda: call(None)) for _ in range(4)]
    assert len({caller.result() for caller in same}) == 1
    assert len({caller.result() for caller in each}) == 4
    assert Event.objects.filter(work_item=item, kind=EventKind.FORKED).count() == 5
    last_event(item)


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("S11")
def test_of_two_racing_forks_with_one_key_one_says_that_it_made_it() -> None:
    item = WorkItemFactory(done=True)
    start = threading.Barrier(2)

    def call() -> tuple[Any, bool]:
        forking = Fork(item.pk, row_version=item.row_version, idempotency_key="k")
        start.wait()
        return forking.execute().pk, forking.made

    told = [caller.result() for caller in [Caller(call) for _ in range(2)]]
    assert len({pk for pk, _made in told}) == 1
    assert sorted(made for _pk, made in told) == [False, True]


@pytest.mark.django_db(transaction=True)
@pytest.mark.scenario("S11")
def test_a_fork_behind_a_cancel_tells_of_both_in_order() -> None:
    item = WorkItemFactory(version=1)
    with transaction.atomic():
        cancel(item.pk)
        forking = Caller(lambda: fork(item.pk))
        until(lambda: connection.vendor == "sqlite" or waiting_for_locks() > 0, "a wait for the item's row")
    made = forking.result()
    assert (fresh(item).state, fresh(made).state) == (State.CANCELLED, State.QUEUED)
    assert last_event(item).kind == EventKind.FORKED
