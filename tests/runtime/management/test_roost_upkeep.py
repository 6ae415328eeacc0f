from __future__ import annotations

import argparse
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, load_command_class
from django.core.management.base import CommandError
from django.db import OperationalError, connection

from runtime import artifacts, faults
from runtime.choices import State
from runtime.models import Artifact, Blob, WorkItem
from runtime.store import blobs
from runtime.worker import liveness
from tests.runtime.management.cli import document, refused, run
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[3]


def kept(item: WorkItem, name: str, content: bytes) -> Artifact:
    """Store an artifact with its bytes."""
    made = blobs.store("default", artifacts.prepare(name, content))
    return Artifact.objects.create(
        work_item=item,
        version=1,
        name=made.name,
        kind=made.kind,
        content_type=made.content_type,
        size=made.size,
        blob=Blob.objects.get(pk=made.sha256),
        created_at=rows.now(),
    )


def test_sweep_takes_back_what_a_dead_worker_holds() -> None:
    me = liveness.own_identity()
    gone = {"boot_id": me.boot_id, "pid_namespace": me.pid_namespace, "pid": me.pid, "process_started": "0"}
    item = rows.running(rows.worker(**gone))
    assert document("sweep")["recovered"] == 1
    found = WorkItem.objects.get(pk=item.pk)
    assert (found.state, found.reason, found.deaths) == ("queued", "recovered", 1)
    assert "recovered" in run("sweep")


def test_verify_says_what_does_not_hold_and_ends_with_1() -> None:
    good, bad = rows.item(), rows.item(State.RUNNING)
    assert run("verify", good.pk) == "Everything that must hold holds.\n"
    assert refused("verify", bad.pk) == (1, "1 problem found.")
    assert refused("verify", "--all") == (1, "1 problem found.")
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("roost", "verify", "--all", "--format", "json", stdout=out)
    assert '"no_lease"' in out.getvalue()


def test_verify_needs_an_item_or_all() -> None:
    item = rows.item()
    assert refused("verify")[0] == 2
    assert refused("verify", item.pk, "--all")[0] == 2


@pytest.mark.scenario("L14")
def test_doctor_ends_with_1_for_a_problem_and_0_without() -> None:
    assert "ok" in run("doctor")
    rows.item()
    code, message = refused("doctor")
    assert (code, message) == (1, "1 problem found.")


def test_artifacts_are_listed_shown_and_saved_with_their_hash(folder: Path, tmp_path: Path) -> None:
    item = rows.item()
    kept(item, "evidence.json", b'{"n": 1}')
    sha256 = hashlib.sha256(b'{"n": 1}').hexdigest()
    [listed] = document("artifacts", "list", item.pk)["artifacts"]
    assert (listed["name"], listed["sha256"]) == ("evidence.json", sha256)
    assert run("artifacts", "show", item.pk, "evidence.json") == '{"n": 1}\n'
    target = tmp_path / "mine.json"
    assert sha256 in run("artifacts", "save", item.pk, "evidence.json", "--to", target)
    assert target.read_bytes() == b'{"n": 1}'


def test_saving_replaces_a_file_only_when_forced_and_never_writes_half(folder: Path, tmp_path: Path) -> None:
    item = rows.item()
    artifact = kept(item, "log.txt", b"good")
    target = tmp_path / "log.txt"
    target.write_text("mine")
    assert refused("artifacts", "save", item.pk, "log.txt", "--to", target)[0] == 1
    assert target.read_text() == "mine"
    (folder / artifact.blob.path).chmod(0o600)
    (folder / artifact.blob.path).write_bytes(b"evil")
    assert refused("artifacts", "save", item.pk, "log.txt", "--to", target, "--force")[0] == 1
    assert target.read_text() == "mine"
    assert not list(tmp_path.glob(".roost-*"))


def test_a_folder_to_save_into_gets_the_artifacts_own_name(folder: Path, tmp_path: Path) -> None:
    item = rows.item()
    kept(item, "log.txt", b"good")
    place = tmp_path / "out"
    place.mkdir()
    run("artifacts", "save", item.pk, "log.txt", "--to", place)
    assert (place / "log.txt").read_bytes() == b"good"
    assert refused("artifacts", "save", item.pk, "log.txt", "--to", tmp_path / "no" / "where")[0] == 2


def test_what_is_shown_cannot_command_the_terminal(folder: Path) -> None:
    item = rows.item()
    kept(item, "log.txt", b"\x1b[2Jred")
    assert "\x1b" not in run("artifacts", "show", item.pk, "log.txt")


def test_an_artifact_that_does_not_exist_is_exit_code_3() -> None:
    assert refused("artifacts", "show", rows.item().pk, "nothing")[0] == 3


def test_a_database_that_fails_is_one_line_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused\nIs it running?")

    monkeypatch.setattr("runtime.queries.items.page", fail)
    code, message = refused("list")
    assert code == 1
    assert message == "The database failed: connection refused. `roost doctor` tells more."


def test_tables_that_are_not_there_are_told_with_what_makes_them() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE roost_workitem RENAME TO gone")
    code, message = refused("list")
    assert (code, message.count("\n")) == (1, 0)
    assert message.endswith("Run `manage.py migrate`.")


def commands() -> list[str]:
    """Name every command, a group's with the group's name before it."""

    def under(parser: argparse.ArgumentParser, before: str) -> Iterator[str]:
        groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
        for name, inner in (pair for group in groups for pair in group.choices.items()):
            found = list(under(inner, f"{before}{name} "))
            yield from found or [f"{before}{name}"]

    return list(under(load_command_class("runtime", "roost").create_parser("manage.py", "roost"), ""))


@pytest.mark.parametrize("command", commands())
def test_every_command_explains_itself_and_its_exit_codes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(*command.split(), "--help")
    printed = " ".join(capsys.readouterr().out.split())
    assert "Exit codes: 0 done; 1 a conflict" in printed
    assert "--format {table,json}" in printed


def test_every_command_is_in_the_reference_and_has_a_test() -> None:
    reference = (ROOT / "docs/reference/commands.md").read_text()
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_roost_*.py"))
    tests += (Path(__file__).parent / "demo_run.py").read_text()
    for command in commands():
        assert f"`{command}" in reference, command
        called = '", "'.join(command.split())
        assert f'"{called}"' in tests or f'"{command}"' in tests, command


def test_doctor_lists_the_points_at_which_a_test_can_let_a_process_fail() -> None:
    told = document("doctor", "--fault-points")
    assert [one["point"] for one in told["points"]] == list(faults.POINTS)
    assert {"kill", "raise", "drop"} <= set(told["actions"])
    lines = [line.split(maxsplit=1) for line in run("doctor", "--fault-points").splitlines()]
    assert ["commit.after", f"after {faults.PLACES['commit']}"] in lines
