from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.models import WorkItem
from tests.factories import WorkItemFactory
from tests.runtime.management.cli import document, refused, run

pytestmark = pytest.mark.django_db


@pytest.mark.scenario("S11")
def test_fork_prints_the_id_of_the_new_item_alone(tmp_path: Path) -> None:
    item = WorkItemFactory(failed=True, version=2)
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"count": 7}))
    printed = run("fork", item.pk, "--from-version", 1, "--state", f"@{state}", "--reason", "again").strip()
    made = WorkItem.objects.get(pk=printed)
    assert (made.forked_from_id, made.forked_version) == (item.pk, 1)
    assert made.snapshots.get().data == {"count": 7}
    assert made.events.latest("seq").actor.startswith("cli:")
    found = document("fork", item.pk)
    assert (found["forked_from"], found["forked_version"], found["state"]) == (str(item.pk), 2, "queued")


def test_fork_refuses_what_is_wrong_with_its_exit_code() -> None:
    item = WorkItemFactory(done=True)
    assert refused("fork", item.pk, "--from-version", 5)[0] == 1
    code, message = refused("fork", item.pk, "--state", "{")
    assert (code, "The state is no JSON" in message) == (2, True)
    assert refused("fork", "ffffffff")[0] == 3
    assert WorkItem.objects.count() == 1


def test_diff_shows_what_the_last_step_changed_or_what_two_versions_differ_in() -> None:
    item = WorkItemFactory(done=True, version=3)
    assert run("diff", item.pk).split() == ["~", "/count", "2", "->", "3"]
    assert run("diff", item.pk, 1, 3).split() == ["~", "/count", "1", "->", "3"]
    found = document("diff", item.pk, 3, 3)
    assert (found["before"]["version"], found["changes"], found["more"]) == (3, [], False)
    assert "The states are the same." in run("diff", item.pk, 3, 3)


def test_diff_of_two_items_compares_their_runs_or_two_of_their_snapshots() -> None:
    one, other = WorkItemFactory(version=2), WorkItemFactory(version=2)
    other.snapshots.filter(version=2).update(data={"count": "x\x1b[2J"})
    printed = run("diff", one.pk, other.pk)
    assert "They differ from version 2 on." in printed
    assert "\x1b" not in printed
    found = document("diff", one.pk, other.pk)
    assert (found["diverged"], [version["same"] for version in found["versions"]]) == (2, [True, True, False])
    assert document("diff", one.pk, other.pk, "--versions", "1:1")["changes"] == []


def test_diff_refuses_what_are_no_versions() -> None:
    item = WorkItemFactory(done=True)
    assert refused("diff", item.pk, "a", "b")[0] == 2
    assert refused("diff", item.pk, 1, 2, 3)[0] == 2
    assert refused("diff", item.pk, 0, 7)[0] == 3


def test_export_prints_a_document_that_import_takes(tmp_path: Path) -> None:
    item = WorkItemFactory(failed=True, version=2, payload={"count_to": 3, "é": "\u0085\u200b"})
    text = run("export", item.pk)
    assert text.isascii()
    assert json.loads(text)["format"] == "roost-run"
    file = tmp_path / "run.json"
    file.write_text(text)
    made = WorkItem.objects.get(pk=run("import", file, "--namespace", "support").strip())
    assert (made.payload, made.namespace, made.state) == (item.payload, "support", "failed")
    assert document("import", file)["state"] == "failed"


def test_import_refuses_what_is_no_run(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}")
    assert refused("import", file)[0] == 2
    assert refused("import", tmp_path / "missing")[0] == 2


def test_trace_writes_one_file_and_replaces_none_unless_told(tmp_path: Path) -> None:
    item = WorkItemFactory(failed=True, version=2)
    file = tmp_path / "trace.html"
    assert run("trace", item.pk, "--output", file).strip() == str(file)
    assert str(item.pk) in file.read_text()
    assert refused("trace", item.pk, "--output", file)[0] == 1
    assert document("trace", item.pk, "--output", file, "--force")["bytes"] == file.stat().st_size
    assert refused("trace", item.pk, "--output", tmp_path / "no" / "where.html")[0] == 2
