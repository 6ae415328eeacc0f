from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from roost_project.environment import checkout_key, flag, listed, number, overrides, secret

pytestmark = pytest.mark.once


@pytest.mark.parametrize(("word", "meaning"), [("1", True), ("Yes", True), ("off", False), ("", False)])
def test_a_flag_is_read_as_people_write_it(monkeypatch: pytest.MonkeyPatch, word: str, meaning: bool) -> None:
    monkeypatch.setenv("ROOST_FLAG", word)
    assert flag("ROOST_FLAG", default=not meaning) is meaning


def test_a_flag_that_says_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROOST_FLAG", "perhaps")
    with pytest.raises(ImproperlyConfigured, match="ROOST_FLAG is 'perhaps'"):
        flag("ROOST_FLAG", default=True)


def test_a_list_is_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    assert listed("ROOST_LIST", default=("a",)) == ["a"]
    monkeypatch.setenv("ROOST_LIST", "b, c,,")
    assert listed("ROOST_LIST", default=("a",)) == ["b", "c"]


@pytest.mark.parametrize("word", ["-1", "1.5", "many", "²"])
def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("ROOST_NUMBER", word)
    with pytest.raises(ImproperlyConfigured, match="ROOST_NUMBER is "):
        number("ROOST_NUMBER", default=1)


def test_a_secret_is_a_variable_or_a_file_and_an_empty_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    assert secret("ROOST_SECRET") == ""
    monkeypatch.setenv("ROOST_SECRET_FILE", str(file))
    with pytest.raises(ImproperlyConfigured, match="ROOST_SECRET_FILE cannot be read"):
        secret("ROOST_SECRET")
    file.write_text("\n")
    with pytest.raises(ImproperlyConfigured, match="which is empty"):
        secret("ROOST_SECRET")
    file.write_text("of the file\n")
    assert secret("ROOST_SECRET") == "of the file"
    monkeypatch.setenv("ROOST_SECRET", "of the variable")
    assert secret("ROOST_SECRET") == "of the variable"


def test_settings_come_from_the_environment_as_json_or_text(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"ROOST_A": "2.5", "ROOST_B": "null", "ROOST_C": '{"x": "y.Z"}', "ROOST_D": "direct", "OTHER": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = overrides(["ROOST_A", "ROOST_B", "ROOST_C", "ROOST_D", "ROOST_MISSING"])
    assert found == {"ROOST_A": 2.5, "ROOST_B": None, "ROOST_C": {"x": "y.Z"}, "ROOST_D": "direct"}


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = iter(range(100))
    monkeypatch.setattr("os.getpid", lambda: next(pids))
    path = tmp_path / ".secret-key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: checkout_key(path), range(32)))
    assert len(keys) == 1
    assert len(keys.pop()) > 50
    assert [file.name for file in tmp_path.iterdir()] == [".secret-key"]


def test_nobody_else_reads_the_key(tmp_path: Path) -> None:
    checkout_key(tmp_path / ".secret-key")
    assert stat.S_IMODE((tmp_path / ".secret-key").stat().st_mode) == stat.S_IRUSR | stat.S_IWUSR
