"""The journal in a file: what it answered is on the disk, and what a crash left torn is one line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.exceptions import CallFailed, Conflict, PermanentError, RoostError
from runtime.journal.lines import CorruptJournal, JsonLinesJournal
from runtime.journal.outside import Journal

pytestmark = pytest.mark.plain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def fails() -> None:
    raise PermanentError("no")


def test_another_process_finds_what_was_recorded(path: Path) -> None:
    with JsonLinesJournal(path) as store:
        assert Journal(store, "import").run("load", lambda: {"rows": 3}) == {"rows": 3}
        with pytest.raises(CallFailed):
            Journal(store, "import").run("bad", fails)
    with JsonLinesJournal(path) as store:
        assert Journal(store, "import").run("load", fails) == {"rows": 3}
        with pytest.raises(CallFailed):
            Journal(store, "import").run("bad", lambda: 1)
        assert Journal(store, "another").run("load", lambda: 1) == 1


@pytest.mark.scenario("B22")
@pytest.mark.parametrize("torn", [b'{"run": "0190', b'{"run": "0190"}\n', b"\xff\xfe", b"\n"])
def test_a_torn_last_line_is_lost_and_no_other(path: Path, torn: bytes) -> None:
    with JsonLinesJournal(path) as store:
        for number in range(3):
            Journal(store, "run").run(str(number), lambda number=number: number)  # type: ignore[misc]
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    with JsonLinesJournal(path) as store:
        assert path.read_bytes() == whole
        assert [Journal(store, "run").run(str(number), fails) for number in range(3)] == [0, 1, 2]
        assert Journal(store, "run").run("3", lambda: 3) == 3
    with JsonLinesJournal(path) as store:
        assert Journal(store, "run").run("3", fails) == 3


@pytest.mark.scenario("B22")
def test_wherever_the_file_is_cut_everything_before_is_there(path: Path) -> None:
    with JsonLinesJournal(path) as store:
        for number in range(4):
            Journal(store, "run").run(str(number), lambda number=number: number)  # type: ignore[misc]
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        ended = whole[:size].count(b'"succeeded"') if whole[:size].endswith(b"\n") else None
        with JsonLinesJournal(path) as store:
            kept = [key for key in "0123" if (found := store.entry(Journal(store, "run").place(key))) and found.result]
            assert kept == [str(number) for number in range(whole[:size].count(b"\n") // 2)]
            assert ended in (None, len(kept))


def test_a_line_in_the_middle_that_is_no_entry_is_an_error_and_the_file_is_left_alone(path: Path) -> None:
    with JsonLinesJournal(path) as store:
        Journal(store, "run").run("1", lambda: 1)
    path.write_bytes(b"not ours\n" + path.read_bytes())
    before = path.read_bytes()
    with pytest.raises(CorruptJournal, match="Line 1"):
        JsonLinesJournal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"my notes\n", b"my notes", b'{"name": "roost"}\n', b"\n"])
def test_a_file_that_is_no_journal_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CorruptJournal, match="Line 1"):
        JsonLinesJournal(path)
    assert path.read_bytes() == content


@pytest.mark.scenario("B22")
@pytest.mark.parametrize("torn", [b"", b"{", b'{"run":"0190', b"\0" * 200])
def test_a_journal_whose_first_line_is_torn_begins_anew(path: Path, torn: bytes) -> None:
    path.write_bytes(torn)
    with JsonLinesJournal(path) as store:
        assert Journal(store, "run").run("1", lambda: 1) == 1
    with JsonLinesJournal(path) as store:
        assert Journal(store, "run").run("1", fails) == 1


def test_a_second_process_is_refused_until_the_first_lets_go(path: Path) -> None:
    code = f"from runtime.journal.lines import JsonLinesJournal; JsonLinesJournal({str(path)!r})"
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}

    def another() -> str:
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        return "refused" if ended.returncode else "let in"

    with JsonLinesJournal(path) as store:
        assert another() == "refused"
        with pytest.raises(Conflict, match="in use"):
            JsonLinesJournal(path)
        assert Journal(store, "run").run("1", lambda: 1) == 1
    assert another() == "let in"
    with pytest.raises(RoostError, match="closed"):
        Journal(store, "run").run("2", lambda: 2)


def test_a_success_is_on_the_disk_before_it_is_returned(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    sync = os.fsync
    with JsonLinesJournal(path) as store:
        monkeypatch.setattr(os, "fsync", lambda file: (sync(file), synced.append(path.read_bytes())))
        Journal(store, "run").run("1", lambda: "done")
    assert [line.count(b"\n") for line in synced] == [1, 2]
    assert b'"done' in synced[-1]


def test_what_cannot_be_written_is_not_recorded_and_leaves_no_part_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JsonLinesJournal(path) as store:
        Journal(store, "run").run("1", lambda: 1)
        before = path.read_bytes()

        def full(file: int) -> None:
            raise OSError("no space left")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="no space"):
                Journal(store, "run").run("2", lambda: 2)
        assert path.read_bytes() == before
        assert Journal(store, "run").run("2", lambda: 2) == 2


def test_reset_outlives_the_process(path: Path) -> None:
    with JsonLinesJournal(path) as store:
        with pytest.raises(CallFailed):
            Journal(store, "run").run("1", fails)
        Journal(store, "run").reset("1")
    with JsonLinesJournal(path) as store:
        assert Journal(store, "run").run("1", lambda: 1) == 1
        with pytest.raises(Conflict):
            Journal(store, "run").reset("1")


def test_async_callees_and_many_at_once(path: Path) -> None:
    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    async def all_of_them() -> list[int]:
        journal = Journal(store, "run")
        calls = [journal.arun(str(number), double, number) for number in range(20)]
        return list(await asyncio.gather(*calls))

    with JsonLinesJournal(path) as store:
        assert asyncio.run(all_of_them()) == asyncio.run(all_of_them()) == [2 * number for number in range(20)]
    assert path.read_bytes().count(b"\n") == 40
