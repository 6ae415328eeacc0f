"""`roost cancel --engine …` and the like: all that match, looked at first if that is wished."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from runtime.choices import EventKind, State
from runtime.models import Event, WorkItem
from runtime.operations.base import ItemOperation
from tests.factories import WorkItemFactory, now
from tests.runtime.management.cli import document, refused, run
from tests.runtime.worker.locking import locked

pytestmark = pytest.mark.django_db
VERBS: dict[str, tuple[str, ...]] = {
    "cancel": (),
    "requeue": (),
    "redrive": (),
    "pause": (),
    "resume": (),
    "prioritise": ("--priority", "3"),
}
MOVED = {
    "cancel": {},
    "requeue": {"run_at_later": True},
    "redrive": {"failed": True},
    "pause": {"waiting": True},
    "resume": {"paused": True},
    "prioritise": {},
}


def fitting(verb: str, **values: Any) -> WorkItem:
    wanted: dict[str, Any] = dict(MOVED[verb])
    if wanted.pop("run_at_later", False):
        wanted["run_at"] = now(3600)
    made: WorkItem = WorkItemFactory(**wanted, **values)
    return made


def versions() -> list[Any]:
    return list(WorkItem.objects.order_by("pk").values_list("pk", "row_version"))


@pytest.mark.parametrize("verb", VERBS)
def test_what_matches_is_moved_as_the_dry_run_said_and_nothing_else(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.management.roost.matching.PAGE", 2)
    for _one in range(5):
        fitting(verb, engine="echo")
    other = fitting(verb)
    before = versions()
    options = (verb, "--engine", "echo", *VERBS[verb])
    told = document(*options, "--dry-run")
    assert (told["would_move"], told["skipped"], told["more"]) == (5, [], False)
    assert versions() == before
    assert document(*options, "--reason", "a flood") == {"verb": verb, "count": 5, "skipped": []}
    assert WorkItem.objects.get(pk=other.pk).row_version == other.row_version
    events = Event.objects.filter(reason="a flood")
    assert events.count() == 5
    assert {event.actor.partition(":")[0] for event in events} == {"cli"}


def test_what_cannot_be_moved_is_counted_with_its_reason_and_is_no_failure() -> None:
    WorkItemFactory.create_batch(2)
    done = WorkItemFactory.create_batch(3, done=True)
    for options, count in ((("--dry-run",), "would_move"), ((), "count")):
        told = document("cancel", "--all", *options)
        [skipped] = told["skipped"]
        assert (told[count], skipped["count"]) == (2, 3)
        assert skipped["item"] == str(max(item.pk for item in done))
        assert "is done; it cannot be cancelled" in skipped["why"]
    text = run("cancel", "--all")
    assert text.startswith("cancel: 0 moved, 5 left as they are\n")
    assert "is cancelled; it cannot be cancelled" in text


def test_every_filter_narrows() -> None:
    parent = WorkItemFactory(done=True)
    match = WorkItemFactory(parent=parent, engine="echo", namespace="ours", reason="delay", fingerprint="f")
    others = [
        WorkItemFactory(**{"parent": parent, "engine": "echo", "namespace": "ours", "reason": "delay"} | other)
        for other in ({"parent": None}, {"engine": "counter"}, {"namespace": "theirs"}, {"reason": "new"}, {})
    ]
    options = ("--parent", parent.pk, "--engine", "echo", "--namespace", "ours", "--because", "delay", "--fingerprint")
    assert document("cancel", *options, "f", "--state", "queued", "--state", "paused")["count"] == 1
    assert WorkItem.objects.get(pk=match.pk).state == State.CANCELLED
    assert {WorkItem.objects.get(pk=other.pk).state for other in others} == {State.QUEUED}


@pytest.mark.scenario("B10")
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--engine", ""],
        ["--state", " "],
        ["--all", "--engine", "counter"],
        ["--dry-run"],
        ["--because", "mood"],
        ["--state", "sad"],
    ],
)
def test_no_choice_two_choices_and_an_empty_filter_hit_nothing(options: list[str]) -> None:
    item = WorkItemFactory()
    for verb, more in VERBS.items():
        assert refused(verb, *options, *more)[0] == 2, verb
    assert refused("cancel", item.pk, "--all")[0] == 2
    assert refused("cancel", item.pk, "--dry-run")[0] == 2
    assert WorkItem.objects.get(pk=item.pk).row_version == item.row_version


def test_a_wrong_value_is_refused_before_anything_is_moved() -> None:
    WorkItemFactory(paused=True)
    for dry in ((), ("--dry-run",)):
        assert refused("resume", "--all", "--steps", 0, *dry)[0] == 2
    assert WorkItem.objects.get().state == State.PAUSED


def test_a_dry_run_compares_the_values_that_were_given() -> None:
    WorkItemFactory(failed=True, max_steps=5, steps_total=5)
    WorkItemFactory(failed=True, max_steps=5, steps_total=8)
    WorkItemFactory(failed=True, version=2)
    for limit, count in ((6, 2), (9, 3)):
        told = document("redrive", "--all", "--max-steps", limit, "--dry-run")
        assert (told["would_move"], sum(one["count"] for one in told["skipped"])) == (count, 3 - count)
    assert document("redrive", "--all", "--dry-run")["would_move"] == 1
    assert document("redrive", "--all", "--from-version", 1, "--max-steps", 9, "--dry-run")["would_move"] == 1
    WorkItemFactory(priority=3)
    WorkItemFactory(priority=4)
    assert document("prioritise", "--state", "queued", "--priority", 3, "--dry-run")["would_move"] == 1


def test_items_enqueued_meanwhile_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.management.roost.matching.PAGE", 1)
    WorkItemFactory.create_batch(2)
    late: list[WorkItem] = []
    execute = ItemOperation.execute

    def meanwhile(self: ItemOperation) -> WorkItem:
        late.append(WorkItemFactory())
        return execute(self)

    monkeypatch.setattr(ItemOperation, "execute", meanwhile)
    assert document("cancel", "--all")["count"] == 2
    assert Event.objects.filter(kind=EventKind.CANCELLED).count() == 2
    assert {WorkItem.objects.get(pk=item.pk).state for item in late} == {State.QUEUED}


@pytest.mark.django_db(transaction=True)
def test_an_item_that_somebody_keeps_locked_is_left_and_told_and_the_others_are_moved(settings: Any) -> None:
    settings.ROOST_LOCK_TIMEOUT_MS = 50
    items = WorkItemFactory.create_batch(3)
    with locked(items[1].pk):
        told = document("cancel", "--all")
        code, message = refused("cancel", items[1].pk)
    assert told["count"] == 2
    [skipped] = told["skipped"]
    assert (skipped["count"], skipped["item"]) == (1, str(items[1].pk))
    assert skipped["why"] == message == f"Another transaction keeps {items[1].pk} locked. Try again."
    assert code == 1
    assert document("cancel", "--all")["count"] == 1


def test_what_was_moved_is_told_also_where_the_database_fails_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    WorkItemFactory.create_batch(3)
    execute, turns = ItemOperation.execute, iter((True, True, False))

    def shaky(self: ItemOperation) -> WorkItem:
        if next(turns):
            return execute(self)
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr(ItemOperation, "execute", shaky)
    out = io.StringIO()
    with pytest.raises(CommandError, match="the server closed the connection"):
        call_command("roost", "cancel", "--all", "--format", "json", stdout=out)
    assert json.loads(out.getvalue()) == {"verb": "cancel", "count": 2, "skipped": []}
