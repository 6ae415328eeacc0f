"""The suite runs everything: on each database, and whatever comes first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import suite
from tests.conftest import NO_DATABASE, left_to_the_other_run, long_ones_first, without
from tests.settings import database

FAILED = """\
FAILED on one: tests/model/test_model.py::test_it[a.b] - assert 1 == 2
FAILED on one: tests/model/test_model.py::TestIt::test_it - failed on setup
FAILED on one: tests.test_it - E   no such
"""


class Item:
    """What the order of tests looks at."""

    def __init__(self, name: str, *marks: pytest.MarkDecorator) -> None:
        self.name = name
        self.marks = {one.name: one.mark for one in marks}

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.marks.get(name)


def names(order: list[Any]) -> str:
    return " ".join(item.name for item in order)


@pytest.mark.parametrize(
    ("processes", "order"), [(1, "longest slow other a b c d"), (2, "longest other b d slow a c"), (9, None)]
)
def test_each_process_begins_with_its_share_of_the_long_tests_and_none_is_left_out(
    processes: int, order: str | None
) -> None:
    slow, patient = pytest.mark.slow, pytest.mark.timeout(240)
    items: list[Any] = [Item("a"), Item("b"), Item("slow", slow), Item("c"), Item("other", slow)]
    items += [Item("longest", slow, patient), Item("d")]
    found = long_ones_first(items, processes)
    assert sorted(names(found)) == sorted(names(items))
    assert order is None or names(found) == order


def test_what_has_no_database_is_taken_out_of_the_other_run_and_nothing_else() -> None:
    once, plain, slow = pytest.mark.once, pytest.mark.plain, pytest.mark.slow
    items: list[Any] = [Item("a"), Item("b", once), Item("slow", slow), Item("d", once, slow), Item("e", plain)]
    assert names(without(items, *NO_DATABASE)) == "b d e"
    assert names(items) == "a slow"


def test_a_matrix_is_left_to_postgresql_where_the_suite_runs_on_it_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite, postgresql = ([run.beside for run in lane] for lane in suite.lanes(None, "", "other/python", []))
    [[alone]] = suite.lanes(["sqlite"], "", "", [])
    assert (sqlite, postgresql, alone.beside) == (["", "postgresql"], ["sqlite"], "")
    assert suite.environment("", "postgresql")["ROOST_TEST_BESIDE"] == "postgresql"
    for beside, here, left_out in (
        ("", "sqlite", ""),
        ("postgresql", "sqlite", "many"),
        ("sqlite", "postgresql", ""),
    ):
        monkeypatch.setenv("ROOST_TEST_BESIDE", beside)
        items: list[Any] = [Item("a"), Item("many", pytest.mark.matrix)]
        assert names(left_to_the_other_run(items, here)) == left_out
        assert "many" not in names(items) or not left_out


def test_both_databases_run_beside_each_other_and_django_6_before_sqlite() -> None:
    sqlite, postgresql = suite.lanes(None, "", "other/python", ["-x"])
    assert [(run.name, run.database, run.python) for run in sqlite] == [
        ("django6-sqlite", "sqlite", "other/python"),
        ("sqlite", "sqlite", sys.executable),
    ]
    assert [(run.name, run.database) for run in postgresql] == [("postgresql", "postgresql")]
    assert sqlite[1].command[-1] == "-x"
    assert sqlite[0].command[-3:] == ["-m", "(not slow and not plain and not matrix) or newest", "-x"]
    [[alone]] = suite.lanes(["postgresql"], "crash", "", [])
    assert alone.name == "crash-postgresql"


def test_what_runs_say_is_told_apart_and_their_last_lines_stand_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [
        suite.Run(name=name, database="sqlite", arguments=("--version",), python=python)
        for name, python in (("one", "echo"), ("another", "false"))
    ]
    codes = [suite.play([[run] for run in runs]), suite.play([runs, runs])]
    told = capsys.readouterr().out
    assert codes == [1, 1]
    assert "one     | -m pytest --junitxml=" in told
    assert told.rstrip().splitlines()[-2:] == ["== the suite on one", told.splitlines()[0].partition(" | ")[2]]


def test_each_test_that_failed_is_named_with_the_run_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "BUILD", tmp_path)
    cases = [
        '<testcase classname="tests.model.test_model" name="test_it[a.b]"><failure message="assert 1 == 2&#10;more"/>',
        '<testcase classname="tests.model.test_model.TestIt" name="test_it"><error message="failed on setup"/>',
        '<testcase classname="" name="tests.test_it"><error message="collection failure">one&#10;E   no such</error>',
        '<testcase classname="tests.test_it" name="test_skipped"><skipped message="no"/>',
        '<testcase classname="tests.test_it" name="test_passed"><properties/>',
    ]
    (tmp_path / "junit-one.xml").write_text(
        f"<testsuites><testsuite>{'</testcase>'.join(cases)}</testcase></testsuite></testsuites>"
    )
    runs = [suite.Run(name=name, database="sqlite", arguments=(), python="false") for name in ("one", "another")]
    assert suite.play([[run] for run in runs]) == 1
    assert capsys.readouterr().out == FAILED


def test_a_run_keeps_bytecode_also_where_none_is_to_be_written_beside_the_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    found = suite.environment("")
    assert "PYTHONDONTWRITEBYTECODE" not in found
    assert found["PYTHONPYCACHEPREFIX"] == str(suite.BUILD / "bytecode")
    assert os.environ["PYTHONDONTWRITEBYTECODE"] == "1"
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    assert "PYTHONPYCACHEPREFIX" not in suite.environment("")


@pytest.mark.parametrize(("unsynced", "last"), [("1", "synchronous=OFF"), ("", "synchronous=FULL")])
def test_only_the_suite_leaves_what_sqlite_writes_to_the_kernel(
    monkeypatch: pytest.MonkeyPatch, unsynced: str, last: str
) -> None:
    assert suite.environment("")[suite.UNSYNCED] == "1"
    monkeypatch.setenv(suite.UNSYNCED, unsynced)
    commands = database("sqlite:///x.sqlite3")["OPTIONS"]["init_command"].split(";")
    assert [one for one in commands if "synchronous" in one][-1].endswith(last)
