"""Children, for every store: a parent hears of every end, by whatever hand, and takes its children with it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from runtime.choices import SUSPECT_DEATHS, EventKind, Reason, State
from runtime.models import Lease
from runtime.models.workitem import new_id
from runtime.operations import kept_rules
from runtime.operations.cancel import cancel
from runtime.queries import verify
from runtime.store import overdue_waits
from runtime.store.base import Store
from runtime.store.rounds import Round
from runtime.store.values import Move
from tests.contracts.asking import ends, park, signal, told, wait_for, with_children
from tests.contracts.builders import Hand, cancelled, item, kinds, last_event, new_item, put

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("S13")
def test_the_last_child_that_ends_lets_its_parent_go_on(worker: Hand) -> None:
    pk, (one, two) = with_children(worker, 2)
    ends(worker, two, result='{"n": 2}')
    assert item(pk).state == State.WAITING
    ends(worker, one, State.FAILED)
    assert (item(pk).state, item(pk).reason) == (State.QUEUED, Reason.ANSWERED)
    (first, second) = told(worker.take())["kids"]
    assert (first["id"], first["state"], first["error"]["type"]) == (str(one.id), State.FAILED, "E")
    assert (second["id"], second["state"], second["result"]) == (str(two.id), State.DONE, {"n": 2})
    assert kinds(pk).count(EventKind.CHILD_ENDED) == 2


@pytest.mark.scenario("S13")
def test_children_that_end_in_one_commit_are_all_heard_of(worker: Hand, store: Store) -> None:
    pk, children = with_children(worker, 3)
    outcomes = [worker.outcome(child, State.DONE, has_parent=True) for child in children]
    assert len(store.commit(outcomes)) == 3
    assert item(pk).state == State.QUEUED


@pytest.mark.parametrize(("need", "enough"), [("any", 1), (2, 2), (9, 3)])
def test_some_children_may_be_enough(worker: Hand, need: Any, enough: int) -> None:
    pk, children = with_children(worker, 3, need=need)
    for number, child in enumerate(children, start=1):
        ends(worker, child)
        assert (item(pk).state == State.QUEUED) == (number >= enough)
        if number >= enough:
            break


@pytest.mark.scenario("S6", "S13")
def test_a_child_that_failed_is_told_beside_the_answer_that_was_enough(worker: Hand, store: Store) -> None:
    pk, (child,) = with_children(worker, 1, on_failure="wake")
    ends(worker, child, State.FAILED)
    store.signal(signal("go", 7))
    children = wait_for("again", "children", terms={"on_failure": "fail"}, needed="any")
    assert park(worker, worker.take(), children, wait_for("go", needed="any")) == State.QUEUED
    assert item(pk).reason == Reason.ANSWERED
    answers = told(worker.take())
    assert answers["go"] == 7
    assert [one["state"] for one in answers["again"]] == [State.FAILED]


@pytest.mark.scenario("S13")
@pytest.mark.parametrize(("policy", "state"), [("wait", "waiting"), ("wake", "queued"), ("fail", "failed")])
def test_a_child_that_fails_is_met_as_the_policy_says(worker: Hand, policy: str, state: str) -> None:
    pk, (one, _) = with_children(worker, 2, on_failure=policy)
    ends(worker, one, State.FAILED)
    assert item(pk).state == state
    if state == State.FAILED:
        assert (item(pk).reason, str(one.id) in item(pk).last_error["message"]) == (Reason.CHILD_FAILED, True)


@pytest.mark.scenario("S13")
def test_a_parent_that_fails_is_heard_of_by_its_own_parent(worker: Hand, store: Store) -> None:
    pk, (child,) = with_children(worker, 1)
    grandchild = new_item(parent_id=child.id, relation="child")
    terms = {"on_failure": "fail"}
    assert park(worker, child, wait_for("k", "children", terms=terms), children=(grandchild,)) == State.WAITING
    ends(worker, worker.take(), State.FAILED)
    assert item(child.id).state == State.FAILED
    store.sweep(batch=10)
    assert item(pk).state == State.QUEUED


def test_who_waits_for_no_child_goes_on_at_once(worker: Hand) -> None:
    put()
    assert park(worker, worker.take(), wait_for("kids", "children")) == State.QUEUED
    assert told(worker.take()) == {"kids": []}


def test_children_are_waited_for_by_name_and_one_that_does_not_exist_is_said_to_be_missing(worker: Hand) -> None:
    stranger = new_id()
    put()
    terms = {"children": [str(stranger)]}
    assert park(worker, worker.take(), wait_for("kids", "children", terms=terms)) == State.QUEUED
    assert told(worker.take())["kids"] == [
        {"id": str(stranger), "engine": "", "state": "missing", "result": None, "error": None}
    ]


@pytest.mark.scenario("L27")
def test_a_child_of_another_namespace_is_not_seen(worker: Hand) -> None:
    other = put(namespace="other")
    ended = worker.take()
    worker.commit(ended, State.DONE, result='"secret"')
    put(namespace="mine")
    terms = {"children": [str(other)]}
    park(worker, worker.take(), wait_for("kids", "children", terms=terms))
    assert told(worker.take())["kids"][0]["state"] == "missing"


def test_a_large_result_is_left_to_be_read_from_the_child(worker: Hand) -> None:
    _, (child,) = with_children(worker, 1)
    ends(worker, child, result=json.dumps("x" * 70_000))
    (entry,) = told(worker.take())["kids"]
    assert (entry["result"], entry["truncated"]) == (None, True)


@pytest.mark.scenario("S13")
def test_a_child_that_an_operator_or_a_sweep_ends_is_heard_of_too(worker: Hand, store: Store) -> None:
    pk, (child,) = with_children(worker, 1)
    cancelled(child.id)
    assert item(pk).state == State.QUEUED
    worker.commit(worker.take(), State.DONE, asked=True)
    pk = put()
    late = new_item(parent_id=pk)
    park(worker, worker.take(), wait_for("kids", "children"), children=(late,))
    while (found := item(late.id)).state != State.FAILED:
        hand = Hand()
        hand.take(alone=found.deaths >= SUSPECT_DEATHS)
        hand.die()
    assert (item(late.id).reason, item(pk).state) == (Reason.POISON, State.QUEUED)


def test_a_parent_that_was_not_told_is_found_by_the_sweep(worker: Hand, store: Store) -> None:
    pk, (child,) = with_children(worker, 1)
    worker.commit(child, State.DONE, has_parent=False)
    assert item(pk).state == State.WAITING
    assert store.sweep(batch=10).woken == 1
    assert item(pk).state == State.QUEUED


@pytest.mark.scenario("L33")
def test_cancelling_cancels_the_children_and_theirs_but_not_the_detached(worker: Hand, store: Store) -> None:
    pk = put()
    mine, free = new_item(parent_id=pk, relation="child"), new_item(parent_id=pk, relation="detached")
    park(worker, worker.take(), wait_for(), children=(mine, free))
    theirs = new_item(parent_id=mine.id, relation="child")
    running = {one.id: one for one in worker.claim()}
    park(worker, running[mine.id], wait_for(), children=(theirs,))
    (grandchild,) = worker.claim()
    family: list[Any] = []
    decide = lambda _: Move(kind=EventKind.CANCELLED, state=State.CANCELLED, reason="", fence=True)  # noqa: E731
    store.move(pk, decide, actor="ann", reason="enough", family=family)
    assert {one.pk for one in family} == {mine.id, theirs.id}
    assert [item(one).state for one in (pk, mine.id, theirs.id)] == [State.CANCELLED] * 3
    assert item(free.id).state == State.RUNNING
    event = last_event(theirs.id)
    assert (event.kind, event.actor, event.reason, event.data) == ("cancelled", "ann", "enough", {"ancestor": str(pk)})
    assert worker.commit(grandchild, State.DONE, has_parent=True) is None


def beginning(statement: str) -> str:
    """Return the beginning of a statement, without what it is about."""
    return re.sub(r"[0-9]+", "", re.split(r"[(]| WHERE ", statement)[0])[:80]


def test_cancelling_many_children_takes_no_more_statements_than_cancelling_a_few(
    worker: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[int, list[str]] = {}
    # Rules are read once in a while, here by the first of the three.
    monkeypatch.setattr(kept_rules, "KEPT_SECONDS", 1_000.0)
    for count in (2, 4, 40):
        pk = put()
        children = tuple(new_item(parent_id=pk, relation="child") for _ in range(count))
        park(worker, worker.take(), wait_for("k", "children"), children=children)
        running = worker.claim(count // 2)
        with CaptureQueriesContext(connection) as sent:
            cancel(pk, actor="ann", reason="enough")
        asked[count] = [beginning(query["sql"]) for query in sent]
        for child in children:
            found, event = item(child.id), last_event(child.id)
            assert (found.state, found.reason, found.finished_at) == (State.CANCELLED, "", found.updated_at)
            assert (event.kind, event.actor, event.reason, event.data) == (
                *("cancelled", "ann", "enough"),
                {"ancestor": str(pk)},
            )
            assert (event.seq, event.epoch) == (found.event_seq, found.epoch)
        assert all(item(one.id).epoch == one.epoch + 1 for one in running)
        assert Lease.objects.filter(work_item__in=[one.id for one in running], revoked_at=None).count() == 0
        assert [worker.commit(one, State.DONE, has_parent=True) for one in running] == [None] * len(running)
    assert asked[4] == asked[40]
    assert list(verify.everything()) == []


@pytest.mark.scenario("L33")
@pytest.mark.parametrize("ended", [State.DONE, State.FAILED])
def test_cancelling_reaches_those_whose_own_parent_has_ended(ended: State, worker: Hand, store: Store) -> None:
    pk = put()
    ends, free = new_item(parent_id=pk, relation="child"), new_item(parent_id=pk, relation="detached")
    park(worker, worker.take(), wait_for("k", "children", terms={"need": 2}), children=(ends, free))
    theirs = {one.id: new_item(parent_id=one.id, relation="child") for one in (ends, free)}
    for running in worker.claim():
        worker.commit(running, ended, children=(theirs[running.id],), has_parent=False)
    cancel(pk)
    assert [item(one.id).state for one in (ends, free)] == [ended, ended]
    assert item(pk).state == item(theirs[ends.id].id).state == State.CANCELLED
    assert item(theirs[free.id].id).state == State.QUEUED


@pytest.mark.scenario("S13")
def test_looking_for_parents_that_were_not_told_asks_once_however_many_children_have_ended(
    worker: Hand, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = []
    for _ in range(3):
        pk, (one, _two, three) = with_children(worker, 3)
        ends(worker, one), ends(worker, three)
        parents.append(pk)
    with_children(worker, 1)
    monkeypatch.setattr(overdue_waits, "_round", Round(overdue_waits.PARENTS))
    with CaptureQueriesContext(connections[store.using]) as asked:
        found = overdue_waits.unnoticed(store.using)
    assert found == sorted(parents)
    # The waits, the items, and what the one wait whose children all live asks for.
    assert len(asked) == 3
    assert "DISTINCT" not in "".join(query["sql"] for query in asked)
