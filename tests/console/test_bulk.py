"""A verb on all items that match: durable, in the name of whoever asked, with a result for each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from console import bulk
from console.item_actions import ACTIONS
from runtime import artifacts
from runtime.choices import EventKind, State
from runtime.exceptions import InvalidInput
from runtime.models import Artifact, Event, Signal, WorkItem
from runtime.operations.cancel import cancel
from runtime.operations.enqueue import enqueue
from runtime.operations.fork import fork
from runtime.operations.resume import resume
from runtime.testing import drain
from tests.console.conftest import Page
from tests.console.test_verbs import LIST, told
from tests.factories import WorkItemFactory
from tests.runtime.worker.locking import locked

pytestmark = pytest.mark.django_db
CANCEL, FORK, PAUSE, SIGNAL, FOLLOW_UP = (
    next(action for action in ACTIONS if action.name == name)
    for name in ("cancel", "fork", "pause", "signal", "follow_up")
)


@pytest.fixture
def user() -> User:
    """Make somebody who may do everything."""
    return User.objects.create_superuser("sue", password="secret")


def results(item: WorkItem) -> list[dict[str, Any]]:
    kept = Artifact.objects.filter(work_item=item).order_by("name")
    return [one for row in kept for one in json.loads(artifacts.read_verified(row.blob.path, row.blob.sha256))]


def run() -> None:
    drain(engines=[bulk.ENGINE])


def test_all_that_match_are_counted_confirmed_and_done(boss: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.admin.verbs.AT_ONCE", 3)
    monkeypatch.setattr(bulk, "CHUNK", 2)
    dead = WorkItemFactory.create_batch(5, failed=True)
    other = WorkItemFactory(done=True)
    fields = {"action": "redrive_items", "_selected_action": [str(dead[0].pk)], "select_across": 1, "index": 0}
    asked = boss.post(f"{LIST}?state__exact=failed", fields)
    page = Page(asked)
    assert page.refused == []
    assert "Redrive · all 5 that match" in page.text
    form = {name: page.fields[name] for name in ("items", "back", "click", "newest")}
    late = WorkItemFactory(failed=True)
    url = reverse("admin:roost_workitem_verb_all", args=["redrive"])
    for _press in range(2):
        answer = boss.post(url, {**form, "all": "yes", "reason": "the API is back"})
        assert answer["Location"] == f"{LIST}?state__exact=failed"
    assert "Redrive of 5 items:" in told(answer)
    work = WorkItem.objects.get(engine=bulk.ENGINE)
    run()
    work.refresh_from_db()
    assert (work.state, work.result) == (State.DONE, {"changed": 5, "skipped": 0})
    assert {one["item"] for one in results(work)} == {str(item.pk) for item in dead}
    assert WorkItem.objects.filter(pk__in=[item.pk for item in dead], state=State.QUEUED).count() == 5
    assert WorkItem.objects.get(pk=other.pk).state == State.DONE
    assert WorkItem.objects.get(pk=late.pk).state == State.FAILED
    events = Event.objects.filter(kind=EventKind.REDRIVEN)
    assert {(event.actor, event.reason, event.data["click"]) for event in events} == {
        ("boss", "the API is back", str(work.pk))
    }
    entries = LogEntry.objects.filter(object_id__in=[str(item.pk) for item in dead])
    assert {entry.change_message for entry in entries} == {f"redriven: the API is back [{work.pk}]"}
    assert work.version == 3


def test_it_is_done_before_the_flood_that_it_is_to_stop(user: User) -> None:
    first = WorkItemFactory(priority=1000)
    last = WorkItemFactory()
    bulk.start(CANCEL, [last.pk], by=user, reason="", values={}, click="c1")
    drain(max_steps=1)
    assert WorkItem.objects.get(pk=last.pk).state == State.CANCELLED
    assert WorkItem.objects.get(pk=first.pk).state == State.QUEUED


def test_what_cannot_be_done_is_told_for_each(user: User) -> None:
    live, ended = WorkItemFactory(), WorkItemFactory(done=True)
    work = bulk.start(CANCEL, [live.pk, ended.pk], by=user, reason="", values={}, click="c1")
    run()
    first, second = results(work)
    assert first == {"item": str(live.pk), "changed": True}
    assert second["changed"] is False
    assert "is done" in second["skipped"]


@pytest.mark.django_db(transaction=True)
def test_an_item_that_somebody_keeps_locked_is_skipped_and_the_others_are_done(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "LOCK_MS", 50)
    busy, free = WorkItemFactory.create_batch(2)
    work = bulk.start(CANCEL, [busy.pk, free.pk], by=user, reason="", values={}, click="c1")
    with locked(busy.pk):
        told_of = bulk._do(work.payload, [str(busy.pk), str(free.pk)], click=str(work.pk))
    why = f"Another transaction keeps {busy.pk} locked. Try again."
    assert told_of == [
        {"item": str(busy.pk), "changed": False, "skipped": why},
        {"item": str(free.pk), "changed": True},
    ]
    assert WorkItem.objects.get(pk=free.pk).state == State.CANCELLED


def test_a_step_that_is_run_again_tells_what_it_had_done(user: User) -> None:
    item = WorkItemFactory()
    work = bulk.start(CANCEL, [item.pk], by=user, reason="", values={}, click="c1")
    cancel(item.pk, actor="sue", click=str(work.pk))
    run()
    assert results(work) == [{"item": str(item.pk), "changed": True}]


def test_forks_are_made_once_however_often_the_step_is_run(user: User) -> None:
    item = WorkItemFactory(done=True)
    work = bulk.start(FORK, [item.pk], by=user, reason="", values={"state": {"n": 1}}, click="c1")
    for _try in range(2):
        told_of = bulk._do(work.payload, [str(item.pk)], click=str(work.pk))
    made = WorkItem.objects.get(forked_from=item)
    assert told_of == [{"item": str(item.pk), "changed": True, "made": str(made.pk)}]


def test_whoever_lost_the_permission_changes_nothing(user: User) -> None:
    item = WorkItemFactory()
    work = bulk.start(CANCEL, [item.pk], by=user, reason="", values={}, click="c1")
    User.objects.filter(pk=user.pk).update(is_superuser=False)
    run()
    work.refresh_from_db()
    item.refresh_from_db()
    assert (work.state, item.state) == (State.FAILED, State.QUEUED)
    assert "may not do it any more" in work.last_error["message"]


@pytest.mark.parametrize("change", [{"by": "1"}, {"verb": "redrive"}, {"items": []}, {"seal": 7}, {"values": "{}x"}])
def test_nobody_forges_one(change: dict[str, Any], user: User) -> None:
    work = bulk.start(CANCEL, [WorkItemFactory().pk], by=user, reason="", values={}, click="c1")
    with pytest.raises(InvalidInput, match="enqueued by the console"):
        enqueue(bulk.ENGINE, {**work.payload, **change, **({"by": "999"} if "by" in change else {})})
    for wrong in (None, [], {}, "x"):
        with pytest.raises(InvalidInput, match="enqueued by the console"):
            enqueue(bulk.ENGINE, wrong)


def test_a_bad_reason_or_no_items_start_nothing(user: User, boss: Client) -> None:
    item = WorkItemFactory()
    with pytest.raises(InvalidInput, match="500"):
        bulk.start(CANCEL, [item.pk], by=user, reason="x" * 501, values={}, click="c1")
    with pytest.raises(InvalidInput, match="0 items match"):
        bulk.start(CANCEL, [], by=user, reason="", values={}, click="c1")
    url = reverse("admin:roost_workitem_verb_all", args=["cancel"])
    assert "0 items match" in told(boss.post(url, {"back": f"{LIST}?state__exact=failed"}))
    assert "cannot be read" in told(boss.post(url, {"back": LIST, "newest": "x"}))
    assert "cannot be read" in told(boss.post(url, {"back": f"{LIST}?id__lt=x"}))
    assert not WorkItem.objects.filter(engine=bulk.ENGINE).exists()


def test_a_copy_of_one_does_nothing(user: User) -> None:
    item = WorkItemFactory()
    work = bulk.start(PAUSE, [item.pk], by=user, reason="", values={}, click="c1")
    run()
    resume(item.pk)
    with pytest.raises(InvalidInput, match="by nobody else"):
        enqueue(bulk.ENGINE, work.payload)
    copy = fork(work.pk, state={"next": 0, "changed": 0, "skipped": 0})
    run()
    copy.refresh_from_db()
    item.refresh_from_db()
    assert (copy.state, item.state) == (State.FAILED, State.QUEUED)


def test_a_step_that_is_run_again_sends_no_second_signal(user: User) -> None:
    item = WorkItemFactory()
    work = bulk.start(SIGNAL, [item.pk], by=user, reason="", values={"name": "go"}, click="c1")
    for _try in range(2):
        told_of = bulk._do(work.payload, [str(item.pk)], click=str(work.pk))
    assert told_of == [{"item": str(item.pk), "changed": True}]
    assert Signal.objects.filter(target=item).count() == 1


def test_a_seal_outlives_how_a_database_writes_numbers(user: User) -> None:
    values = {"input": [1e16, -0.0]}
    work = bulk.start(FOLLOW_UP, [WorkItemFactory(done=True).pk], by=user, reason="", values=values, click="c1")
    assert bulk.is_sealed(WorkItem.objects.get(pk=work.pk).payload)
