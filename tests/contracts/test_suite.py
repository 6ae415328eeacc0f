"""The suite runs everything: on each database, and whatever comes first."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from tests import suite
from tests.conftest import long_ones_first, without_once


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
    once = pytest.mark.once
    items: list[Any] = [Item("a"), Item("b", once), Item("slow", pytest.mark.slow), Item("d", once, pytest.mark.slow)]
    assert names(without_once(items)) == "b d"
    assert names(items) == "a slow"


def test_both_databases_run_beside_each_other_and_django_6_after_sqlite() -> None:
    sqlite, postgresql = suite.lanes(None, "", "other/python", ["-x"])
    assert [(run.name, run.database, run.python) for run in sqlite] == [
        ("sqlite", "sqlite", sys.executable),
        ("django6-sqlite", "sqlite", "other/python"),
    ]
    assert [(run.name, run.database) for run in postgresql] == [("postgresql", "postgresql")]
    assert sqlite[0].command[-1] == "-x"
    assert sqlite[1].command[-3:] == ["-m", "not slow", "-x"]
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
