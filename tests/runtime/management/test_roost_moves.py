from __future__ import annotations

from typing import Any

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.models import Event, Lease, WorkItem
from tests.factories import EventFactory, WorkerFactory
from tests.runtime.management.cli import document, refused, run
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def letter(**values: Any) -> WorkItem:
    defaults = {"reason": Reason.PERMANENT_ERROR, "fingerprint": "f1", "last_error": {"message": "no"}}
    return rows.item(State.FAILED, version=2, event_seq=3, **defaults | values)


def state(item: WorkItem) -> str:
    return str(WorkItem.objects.values_list("state", flat=True).get(pk=item.pk))


@pytest.mark.scenario("L3")
def test_cancel_ends_an_item_with_actor_and_reason_in_its_history() -> None:
    item = rows.item()
    assert run("cancel", item.pk, "--reason", "no longer needed") == f"{item.pk}  cancelled\n"
    event = Event.objects.get(work_item=item, kind=EventKind.CANCELLED)
    assert event.actor.startswith("cli:")
    assert event.reason == "no longer needed"


@pytest.mark.scenario("L4")
def test_cancel_fences_a_running_item() -> None:
    item = rows.running(rows.worker())
    run("cancel", item.pk)
    assert WorkItem.objects.get(pk=item.pk).epoch == item.epoch + 1
    assert Lease.objects.get(pk=item.pk).revoked_at is not None


def test_requeue_makes_a_delayed_item_due() -> None:
    item = rows.item(reason=Reason.DELAY, run_at=rows.now(3600))
    run("requeue", item.pk)
    assert WorkItem.objects.get(pk=item.pk).run_at <= rows.now()


@pytest.mark.scenario("L11")
def test_redrive_brings_a_dead_letter_back_with_its_snapshots() -> None:
    item = letter(attempt=5)
    [moved] = document("redrive", item.pk)["moved"]
    assert moved == {"id": str(item.pk), "state": "queued", "reason": "redriven"}
    found = WorkItem.objects.get(pk=item.pk)
    assert (found.attempt, found.version, found.snapshots.count()) == (0, 2, 2)


@pytest.mark.scenario("L11")
def test_redrive_goes_back_to_an_earlier_snapshot_when_asked() -> None:
    item = letter()
    run("redrive", item.pk, "--from-version", 1)
    found = WorkItem.objects.get(pk=item.pk)
    assert found.version == 3
    assert found.snapshots.get(version=3).restored_from == 1
    assert refused("redrive", letter().pk, "--from-version", 9)[0] in {1, 3}


def test_pause_and_resume() -> None:
    item = rows.item()
    run("pause", item.pk)
    assert state(item) == "paused"
    run("resume", item.pk)
    assert state(item) == "queued"


def test_resume_gives_a_number_of_steps() -> None:
    item = rows.item()
    run("pause", item.pk)
    run("resume", item.pk, "--steps", 4)
    assert WorkItem.objects.get(pk=item.pk).pause_at_step == item.steps_total + 4


def test_pause_waits_for_the_step_unless_told_now() -> None:
    by = rows.worker()
    gentle, hard = rows.running(by), rows.running(by)
    run("pause", gentle.pk)
    run("pause", hard.pk, "--now")
    assert (state(gentle), state(hard)) == ("running", "paused")
    assert WorkItem.objects.get(pk=gentle.pk).pause_requested


def test_release_ends_a_lease() -> None:
    item = rows.running(rows.worker())
    run("release", item.pk)
    assert state(item) == "queued"


@pytest.mark.scenario("L30")
def test_prioritise_sets_the_priority_and_leaves_the_epoch_alone() -> None:
    item = rows.running(rows.worker())
    run("prioritise", item.pk, "--priority", -3)
    found = WorkItem.objects.get(pk=item.pk)
    assert (found.priority, found.epoch, found.state) == (-3, item.epoch, "running")
    assert refused("prioritise", item.pk, "--priority", 99999)[0] == 2


@pytest.mark.parametrize(
    ("verb", "start"),
    [
        ("cancel", State.DONE),
        ("requeue", State.PAUSED),
        ("redrive", State.DONE),
        ("pause", State.CANCELLED),
        ("resume", State.QUEUED),
        ("release", State.QUEUED),
    ],
)
def test_a_wrong_state_is_a_conflict_that_names_it_and_changes_nothing(verb: str, start: str) -> None:
    item = rows.item(start)
    before = WorkItem.objects.values().get(pk=item.pk)
    code, message = refused(verb, item.pk)
    assert code == 1
    assert start in message
    assert WorkItem.objects.values().get(pk=item.pk) == before


@pytest.mark.parametrize("verb", ["cancel", "requeue", "redrive", "pause", "resume", "release"])
def test_an_item_that_does_not_exist_is_exit_code_3_and_no_id_is_2(verb: str) -> None:
    assert refused(verb, "00000000-0000-7000-8000-000000000000")[0] == 3
    assert refused(verb, "what?")[0] == 2
    code, message = refused(verb)
    assert code == 2 or message.startswith("Error:")


def test_of_several_items_those_that_can_be_moved_are_and_the_rest_is_told() -> None:
    good, ended = rows.item(), rows.item(State.DONE)
    code, message = refused("cancel", good.pk, ended.pk, "00000000-0000-7000-8000-000000000000")
    assert code == 3
    assert str(ended.pk) in message
    assert state(good) == "cancelled"


@pytest.mark.scenario("L12")
def test_dead_list_shows_what_failed_and_groups_it() -> None:
    item = letter()
    letter(acknowledged_at=rows.now())
    rows.item(State.DONE)
    [shown] = document("dead", "list")["items"]
    assert (shown["id"], shown["last_error"]) == (str(item.pk), {"message": "no"})
    assert (shown["code"], shown["message"], shown["worker"], shown["worker_name"]) == ("", "no", None, "")
    worker = WorkerFactory()
    EventFactory(work_item=item, worker=worker.pk, kind="failed")
    WorkItem.objects.filter(pk=item.pk).update(last_error={"code": "http_403", "message": "no"})
    [shown] = document("dead", "list")["items"]
    assert (shown["code"], shown["worker"], shown["worker_name"]) == ("http_403", str(worker.pk), str(worker))
    assert str(worker) in run("dead", "list")
    assert "http_403" in run("dead", "list")
    assert len(document("dead", "list", "--acknowledged")["items"]) == 2
    [group] = document("dead", "list", "--groups")["groups"]
    assert (group["fingerprint"], group["count"], group["message"]) == ("f1", 1, "no")
    assert "f1" in run("dead", "list", "--groups")


@pytest.mark.scenario("L12")
@pytest.mark.parametrize(
    ("option", "value", "values"),
    [
        ("--engine", "watchlist", {"engine": "watchlist"}),
        ("--namespace", "other", {"namespace": "other"}),
        ("--fingerprint", "f2", {"fingerprint": "f2"}),
        ("--failed-because", "poison", {"reason": Reason.POISON}),
        ("--category", "business", {"last_error": {"message": "no", "category": "business"}}),
    ],
)
def test_a_filter_treats_what_it_matches_and_nothing_else(option: str, value: str, values: dict[str, Any]) -> None:
    other, match = letter(), letter(**values)
    assert [item["id"] for item in document("dead", "list", option, value)["items"]] == [str(match.pk)]
    run("dead", "redrive", option, value)
    assert (state(other), state(match)) == ("failed", "queued")


@pytest.mark.scenario("L12")
def test_dead_letters_are_acknowledged_by_id_with_a_reason() -> None:
    item = letter()
    assert refused("dead", "ack", item.pk)[1].startswith("Error:")
    run("dead", "ack", item.pk, "--reason", "known")
    found = WorkItem.objects.get(pk=item.pk)
    assert found.acknowledged_at is not None
    assert found.acknowledged_by.startswith("cli:")
    assert run("dead", "list") == "No dead letter.\n"


def test_dead_letters_are_made_in_development_alone(settings: Any) -> None:
    item = rows.item()
    code, told = refused("dead", "force", item.pk, "--reason", "what if")
    assert (code, "DEBUG is off" in told, state(item)) == (1, True, "queued")
    settings.DEBUG = True
    assert document("dead", "force", item.pk, "--reason", "what if", "--code", "gone")["moved"][0]["reason"] == "forced"
    [found] = document("dead", "list")["items"]
    assert (found["last_error"]["code"], found["last_error"]["message"]) == ("gone", "what if")
    assert refused("dead", "force", item.pk, "--reason", "again")[0] == 1


@pytest.mark.scenario("B10")
@pytest.mark.parametrize("verb", [["redrive"], ["ack", "--reason", "r"]])
def test_no_choice_and_an_empty_filter_hit_nothing(verb: list[str]) -> None:
    item = letter()
    for options in ([], ["--engine", ""], ["--fingerprint", " "], ["--namespace", ""], ["--all", "--engine", ""]):
        code, _ = refused("dead", *verb, *options)
        assert code == 2
    assert refused("dead", *verb, "--all", item.pk)[0] == 2
    assert refused("dead", *verb, "--all", "--engine", "counter")[0] == 2
    assert refused("dead", *verb, "--failed-because", "mood")[0] == 2
    found = WorkItem.objects.get(pk=item.pk)
    assert (found.state, found.acknowledged_at) == ("failed", None)


@pytest.mark.scenario("B10")
def test_all_means_all_that_nobody_acknowledged() -> None:
    fresh, seen = letter(), letter(acknowledged_at=rows.now())
    run("dead", "redrive", "--all")
    assert (state(fresh), state(seen)) == ("queued", "failed")
    assert run("dead", "redrive", "--all") == "No dead letter matches.\n"
