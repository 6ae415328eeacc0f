"""Content is whole under the name of its hash or not there at all, and what cannot be an artifact is refused."""

from __future__ import annotations

import datetime as dt
import errno
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage, Storage, storages

from runtime import artifacts
from runtime.exceptions import CorruptArtifact, InvalidInput, NotJSON, RetryableError, StorageUnavailable
from runtime.store import blobs
from tests.runtime.places import PLACES, USING, contents, keep

DAY = dt.timedelta(days=1, seconds=1)


def test_two_writers_that_both_find_nothing_there_leave_one_copy(settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": {"BACKEND": f"{PLACES}.RacedStorage"}}
    prepared = artifacts.prepare("a", b"content")
    artifacts.write(prepared)
    assert contents(artifacts.storage()) == [prepared.path]


def test_a_torn_write_of_a_crashed_worker_is_mended_by_the_next_one(folder: Path) -> None:
    prepared = artifacts.prepare("a", b"content")
    torn = folder / prepared.path
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"cont")
    assert artifacts.write(prepared) is True
    assert torn.read_bytes() == b"content"


def test_on_a_file_system_without_hard_links_content_is_renamed_into_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    prepared = artifacts.prepare("a", b"content")
    artifacts.write(prepared)
    assert contents(artifacts.storage()) == [prepared.path]


def test_changed_and_lost_content_is_noticed_when_it_is_read(folder: Path) -> None:
    prepared = artifacts.prepare("a", b"content")
    artifacts.write(prepared)
    (folder / prepared.path).write_bytes(b"CONTENT")
    with pytest.raises(CorruptArtifact, match="was changed"):
        artifacts.read_verified(prepared.path, prepared.sha256)
    (folder / prepared.path).unlink()
    with pytest.raises(CorruptArtifact, match="is gone"):
        artifacts.read_verified(prepared.path, prepared.sha256)


def test_lost_content_is_noticed_on_every_storage(place: Storage) -> None:
    with pytest.raises(CorruptArtifact, match="is gone"):
        artifacts.read_verified("ab/cd/abcd", "abcd")


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    "name",
    ["", " ", ".", "..", "a/b", "a\\b", "a\nb", "a\x00b", "\ud800", "a\u202eb", "x" * 256, "é" * 128, 7],
)
def test_a_name_that_cannot_be_a_file_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        artifacts.prepare(name, b"")
    assert caught.value.field == "name"


@pytest.mark.scenario("L15")
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "movie"}, "kind"),
        ({"content_type": "text"}, "content_type"),
        ({"content_type": "text/html\r\nX: y"}, "content_type"),
        ({"content_type": "a/" + "b" * 99}, "content_type"),
        ({"content": {"a": 1}}, "content"),
        ({"content": "\ud800"}, "content"),
        ({"content": {"a": float("nan")}, "kind": "json"}, "artifact a.a"),
        ({"metadata": {"a": object()}}, "metadata.a"),
        ({"metadata": ["a"]}, "metadata"),
        ({"metadata": "ab"}, "metadata"),
    ],
)
def test_what_cannot_be_an_artifact_is_refused_with_the_field_that_is_wrong(given: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        artifacts.prepare("a", given.pop("content", b""), **given)
    assert caught.value.field == field


def test_content_over_the_limit_is_refused(settings: Any) -> None:
    settings.ROOST_MAX_ARTIFACT_BYTES = 3
    artifacts.prepare("a", b"abc")
    with pytest.raises(InvalidInput, match="ROOST_MAX_ARTIFACT_BYTES"):
        artifacts.prepare("a", b"abcd")


def test_json_is_refused_as_everywhere_else() -> None:
    with pytest.raises(NotJSON):
        artifacts.prepare("a", {1: 2}, kind="json")


@pytest.mark.parametrize(
    ("name", "content", "kind", "expected"),
    [
        ("evidence", {"a": 1}, "json", "application/json"),
        ("change", "--- a", "patch", "text/x-diff; charset=utf-8"),
        ("out", b"line", "log", "text/plain; charset=utf-8"),
        ("page.html", "<p>", "report", "text/html"),
        ("notes", "text", "other", "text/plain; charset=utf-8"),
        ("notes", b"\x00", "other", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_from_kind_name_and_content(name: str, content: Any, kind: str, expected: str) -> None:
    assert artifacts.prepare(name, content, kind=kind).content_type == expected


# When the storage fails ---------------------------------------------------------------------------------------------


@pytest.fixture
def down(settings: Any) -> None:
    """Let the storage be away."""
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": {"BACKEND": f"{PLACES}.DownStorage"}}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("down")
def test_a_storage_that_is_away_is_a_retryable_error_that_names_it() -> None:
    with pytest.raises(StorageUnavailable, match=r"'roost_artifacts'.*no route to storage") as caught:
        keep()
    assert isinstance(caught.value, RetryableError)
    assert isinstance(caught.value.__cause__, ConnectionError)
    for work in (
        lambda: artifacts.read_verified("ab/cd/abcd", "abcd"),
        lambda: artifacts.delete("ab/cd/abcd"),
        lambda: blobs.adopt_strays(USING, limit=1),
    ):
        with pytest.raises(StorageUnavailable):
            work()


def test_a_storage_that_keeps_less_than_it_was_given_is_an_error(settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": {"BACKEND": f"{PLACES}.ForgetfulStorage"}}
    with pytest.raises(StorageUnavailable, match="did not keep all 7 bytes"):
        artifacts.write(artifacts.prepare("a", b"content"))


@pytest.mark.scenario("F7")
def test_a_full_disk_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifacts, "_sync", fail)
    with pytest.raises(StorageUnavailable, match="No space left"):
        artifacts.write(artifacts.prepare("a", b"content"))
    assert contents(artifacts.storage()) == []


def test_content_appears_under_its_name_only_when_it_is_complete(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = artifacts.prepare("a", b"content")
    seen: list[bool] = []
    save = FileSystemStorage._save

    def watch(self: FileSystemStorage, name: str, content: Any) -> str:
        saved: str = save(self, name, content)
        seen.append((folder / prepared.path).exists())
        return saved

    monkeypatch.setattr(FileSystemStorage, "_save", watch)
    artifacts.write(prepared)
    assert seen == [False]


def test_the_storage_is_looked_up_at_each_use(settings: Any, folder: Path) -> None:
    settings.ROOST_ARTIFACT_STORAGE = "default"
    assert artifacts.storage() is storages["default"]
