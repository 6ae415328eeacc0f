"""A worker sweeps the artifact storage now and then, and nothing about that storage holds the worker up."""

from __future__ import annotations

import logging
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from runtime import artifacts
from runtime.exceptions import StorageUnavailable
from runtime.models import Blob
from runtime.store import blobs
from runtime.worker import storage_care
from runtime.worker.storage_care import StorageCare
from tests.factories import now


@pytest.fixture
def care(monkeypatch: pytest.MonkeyPatch) -> StorageCare:
    """Give one whose sweep is due."""
    monkeypatch.setattr(storage_care, "EVERY_SECONDS", 0.0)
    return StorageCare("default")


def finish(care: StorageCare) -> None:
    assert care._thread is not None
    care._thread.join(timeout=20)
    assert not care._thread.is_alive()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("folder")
def test_a_sweep_removes_orphans_and_adopts_strays(
    care: StorageCare, settings: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ROOST_ARTIFACT_ORPHAN_SECONDS = -60
    stray = artifacts.prepare("a", b"stray")
    artifacts.write(stray)
    blobs.store("default", artifacts.prepare("b", b"orphan"))
    monkeypatch.setattr(storage_care.random, "randrange", lambda _folders: int(stray.sha256[:2], 16))
    care.start_if_due()
    finish(care)
    assert not Blob.objects.exists()
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_a_storage_that_hangs_holds_up_nobody_and_is_not_asked_twice(
    care: StorageCare, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, released = threading.Semaphore(0), threading.Event()

    def hang(using: str, **_more: Any) -> int:
        asked.release()
        released.wait(20)
        return 0

    monkeypatch.setattr(blobs, "adopt_strays", hang)
    monkeypatch.setattr(blobs, "sweep", lambda using, **_more: blobs.Swept())
    care.start_if_due()
    assert asked.acquire(timeout=20)
    care.start_if_due()
    released.set()
    finish(care)
    assert not asked.acquire(blocking=False)


@pytest.mark.django_db
def test_a_sweep_that_runs_out_of_time_goes_on_where_it_ended(
    care: StorageCare, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: blobs.Place = (now(), "ab")
    asked: list[blobs.Place | None] = []

    def sweep(using: str, *, limit: int, after: blobs.Place | None) -> blobs.Swept:
        asked.append(after)
        return blobs.Swept(place=place if len(asked) < 3 else None)

    monkeypatch.setattr(blobs, "sweep", sweep)
    care._sweep_orphans(math.inf)
    assert asked == [None, place, place]
    asked.clear()
    care._sweep_orphans(0.0)
    assert asked == []
    care._place = place
    care._sweep_orphans(math.inf)
    assert asked[0] == place


def test_a_storage_that_is_away_is_a_line_in_the_log(
    care: StorageCare, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(using: str, **_more: Any) -> int:
        raise StorageUnavailable("The artifact storage is away.")

    monkeypatch.setattr(blobs, "adopt_strays", fail)
    monkeypatch.setattr(blobs, "sweep", lambda using, **_more: blobs.Swept())
    with caplog.at_level(logging.WARNING, "roost.artifacts"):
        care.start_if_due()
        finish(care)
    assert "could not be swept: The artifact storage is away." in caplog.text


def test_a_sweep_that_is_not_due_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_care.random, "random", lambda: 1.0)
    idle = StorageCare("default")
    idle.start_if_due()
    assert idle._thread is None


def test_a_storage_that_cannot_be_listed_is_swept_all_the_same(
    care: StorageCare, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[str] = []

    def fail(using: str, **_more: Any) -> int:
        raise StorageUnavailable("It cannot be listed.")

    def sweep(using: str, **_more: Any) -> blobs.Swept:
        swept.append(using)
        return blobs.Swept()

    monkeypatch.setattr(blobs, "adopt_strays", fail)
    monkeypatch.setattr(blobs, "sweep", sweep)
    care.start_if_due()
    finish(care)
    assert swept == ["default"]
