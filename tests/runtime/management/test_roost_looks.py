from __future__ import annotations

import re
from typing import Any

import pytest

from runtime.choices import EventKind, Reason, State
from runtime.models import Lease, Resource
from tests.runtime.management.cli import document, refused, run
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def test_status_shows_state_why_step_version_owner_events_and_snapshot() -> None:
    by = rows.worker()
    item = rows.running(by, version=2, event_seq=4, step_label="check 2 of 5")
    printed = re.sub(" +", " ", run("status", item.pk))
    for part in (
        "state running",
        f"why Running on worker {by} since",
        "step check 2 of 5",
        "version 2",
        f"owner {by}, epoch 1, until",
        "last events:",
        "enqueued",
        'snapshot 2:\n{\n "n": 2\n}',
    ):
        assert part in printed


def test_status_tells_how_far_the_step_is() -> None:
    item = rows.running(rows.worker(), version=2)
    assert "progress" not in run("status", item.pk)
    Lease.objects.update(progress={"fraction": 0.42, "note": "reading", "step": 3})
    assert "progress 42 % · reading" in re.sub(" +", " ", run("status", item.pk))


def test_status_as_json_is_one_document_with_the_same() -> None:
    by = rows.worker()
    item = rows.running(by, version=2)
    found = document("status", item.pk)
    assert found["item"]["id"] == str(item.pk)
    assert found["item"]["state"] == "running"
    assert found["why"][0]["code"] == "running"
    assert found["lease"]["worker_id"] == str(by.pk)
    assert found["events"][0]["kind"] == "enqueued"
    assert found["snapshot"]["version"] == 2
    assert "payload" not in found["item"]


def test_status_of_an_item_without_steps_says_so() -> None:
    assert "no snapshot yet" in run("status", rows.item().pk)


def test_inspect_shows_everything() -> None:
    item = rows.running(rows.worker(), version=1, payload={"secret": 1}, fair_key="fair", result={"r": 1})
    rows.claim(item, "page", held=True)
    rows.artifact(item, "evidence.json", "a" * 64)
    child = rows.item(parent=item)
    printed = run("inspect", item.pk)
    for part in ('"secret": 1', "fair", "page", "held", "evidence.json", "a" * 64, str(child.pk), "epoch"):
        assert part in printed
    found = document("inspect", item.pk)
    assert found["item"]["payload"] == {"secret": 1}
    assert found["claims"][0]["resource"] == "page"
    assert found["artifacts"][0]["sha256"] == "a" * 64
    assert found["children"] == [str(child.pk)]


def test_why_names_a_code_and_a_sentence_for_each_cause() -> None:
    item = rows.item()
    assert "no_worker: No live worker offers engine 'counter' in pool 'default'" in run("why", item.pk)
    assert [cause["code"] for cause in document("why", item.pk)["causes"]] == ["due", "no_worker"]


def test_an_item_is_named_by_the_beginning_of_its_id() -> None:
    item = rows.item()
    assert document("status", str(item.pk)[:20])["item"]["id"] == str(item.pk)


@pytest.mark.parametrize("command", ["status", "inspect", "why", "events", "history"])
def test_an_item_that_does_not_exist_is_exit_code_3_and_no_id_is_2(command: str) -> None:
    assert refused(command, "00000000-0000-7000-8000-000000000000")[0] == 3
    assert refused(command, "what?")[0] == 2


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], ["a", "b", "c"]),
        (["--state", "failed"], ["c"]),
        (["--state", "failed", "--state", "done"], ["b", "c"]),
        (["--engine", "watchlist"], ["b"]),
        (["--namespace", "other"], ["a"]),
        (["--reason", "poison"], ["c"]),
        (["--fingerprint", "f"], ["c"]),
    ],
)
def test_list_narrows_by_each_filter(options: list[str], wanted: list[str]) -> None:
    names = {
        rows.item(namespace="other").pk: "a",
        rows.item(State.DONE, engine="watchlist").pk: "b",
        rows.item(State.FAILED, reason=Reason.POISON, fingerprint="f").pk: "c",
    }
    found = {str(pk): name for pk, name in names.items()}
    assert sorted(found[item["id"]] for item in document("list", *options)["items"]) == wanted


def test_list_pages_and_says_how_to_go_on() -> None:
    made = [str(rows.item().pk) for _ in range(3)]
    first = document("list", "--limit", 2)
    assert [item["id"] for item in first["items"]] == made[:0:-1]
    second = document("list", "--limit", 2, "--before", first["next"])
    assert ([item["id"] for item in second["items"]], second["next"]) == (made[:1], None)
    assert f"more: --before {first['next']}" in run("list", "--limit", 2)


def test_a_filter_that_cannot_match_is_refused() -> None:
    assert refused("list", "--state", "finished")[0] == 2
    assert refused("list", "--limit", "0")[0] == 2


def test_events_and_history_are_paged() -> None:
    item = rows.item(event_seq=3, version=3)
    first = document("events", item.pk, "--limit", 2)
    assert ([event["seq"] for event in first["events"]], first["next"]) == ([1, 2], 2)
    assert [event["seq"] for event in document("events", item.pk, "--after", 2)["events"]] == [3]
    first = document("history", item.pk, "--limit", 2)
    assert ([one["version"] for one in first["snapshots"]], first["next"]) == ([1, 2], 2)
    assert "version 3" in run("history", item.pk, "--after", 2)


def test_workers_show_what_they_run_and_who_is_silent() -> None:
    rows.running(rows.worker())
    rows.worker(beat=100, pid=666)
    found = {one["pid"]: one for one in document("workers")["workers"]}
    assert (found[4711]["alive"], found[4711]["running"]) == (True, 1)
    assert not found[666]["alive"]
    assert "online, silent" in run("workers")


def test_a_worker_drains_and_goes_on_by_the_beginning_of_its_id() -> None:
    worker = rows.worker()
    assert document("workers", "drain", str(worker.pk)[:13]) == {
        "verb": "drain",
        "id": str(worker.pk),
        "desired_state": "draining",
    }
    assert "draining" in run("workers")
    waits = rows.item()
    assert f"roost workers resume {worker.pk}" in run("why", waits.pk)
    assert refused("workers", "drain", worker.pk)[0] == 1
    assert "online with its next heartbeat" in run("workers", "resume", worker.pk)
    assert refused("workers", "drain", "ffff")[0] == 3
    assert refused("workers", "drain", "no id")[0] == 2


def test_resources_show_holder_and_waiter() -> None:
    holder, waiter = rows.item(State.RUNNING), rows.item(reason=Reason.RESOURCE)
    rows.claim(holder, "page", held=True)
    rows.claim(waiter, "page", held=False)
    Resource.objects.create(key="quiet")
    [found] = document("resources")["resources"]
    assert [claim["item"] for claim in found["holders"]] == [str(holder.pk)]
    assert [claim["item"] for claim in found["waiters"]] == [str(waiter.pk)]
    assert "quiet" in run("resources", "--all")
    assert "quiet" not in run("resources")


def test_engines_show_those_that_do_not_load_with_the_cause(settings: Any) -> None:
    settings.ROOST_ENGINES = {**settings.ROOST_ENGINES, "broken": "no.such.module.Engine"}
    found = {one["name"]: one for one in document("engines")["engines"]}
    assert found["counter"]["lane"] == "async"
    assert "no.such.module" in found["broken"]["error"]
    assert "broken" in run("engines")


@pytest.mark.parametrize("command", ["list", "workers", "resources", "dead list"])
def test_an_empty_list_says_what_there_is_not(command: str) -> None:
    assert run(*command.split()).startswith("No ")


def test_what_an_agent_wrote_cannot_command_the_terminal() -> None:
    item = rows.item(step_label="\x1b[2J\x1b]0;owned\x07", last_error={"message": "\x9b31m"})
    rows.event(item, 2, EventKind.LOG, reason="\x1b[31mred\u202e")
    rows.snapshot(item, 1, {"text": "\x1b[2J"})
    for command in ("status", "inspect", "events", "history", "list"):
        printed = run(command, *([] if command == "list" else [item.pk]))
        assert not any(char in printed for char in "\x1b\x07\x9b\u202e"), command


def test_a_list_costs_the_same_number_of_queries_however_long_it_is(django_assert_max_num_queries: Any) -> None:
    by = rows.worker()
    for _ in range(5):
        rows.claim(rows.running(by), "page", held=True, mode="shared")
    with django_assert_max_num_queries(3):
        run("list")
    with django_assert_max_num_queries(4):
        run("resources")
