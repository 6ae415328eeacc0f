"""Artifacts are written once, read back with their hash, and swept when no step committed them."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import Storage
from django.db import connection, connections, transaction

from runtime import artifacts, clock
from runtime.models import Blob
from runtime.store import blobs
from tests.factories import ArtifactFactory
from tests.orphans import sweep_orphans
from tests.runtime.places import LOCAL, PLACES, USING, contents, in_threads, keep

DAY = dt.timedelta(days=1, seconds=1)


# What is kept -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_content_is_kept_under_its_hash_and_read_back_verified(place: Storage) -> None:
    kept = keep(b"some bytes", metadata={"from": "a test"})
    artifact = ArtifactFactory(content=b"some bytes")
    assert contents(place) == [f"{kept.sha256[:2]}/{kept.sha256[2:4]}/{kept.sha256}"]
    assert (kept.size, kept.metadata) == (10, '{"from":"a test"}')
    assert blobs.read_artifact(artifact) == b"some bytes"
    with blobs.open_artifact(artifact) as opened:
        assert opened.read() == b"some bytes"


@pytest.mark.django_db(transaction=True)
def test_the_same_content_from_workers_at_once_is_there_once(place: Storage) -> None:
    content = b"x" * 300_000
    kept = in_threads(4, lambda: keep(content))
    assert contents(place) == [artifacts.path_of(kept[0].sha256)]
    assert Blob.objects.count() == 1
    assert artifacts.read_verified(artifacts.path_of(kept[0].sha256), kept[0].sha256) == content


@pytest.mark.django_db(transaction=True)
def test_content_that_is_there_is_not_written_again(place: Storage) -> None:
    prepared = artifacts.prepare("a", b"content")
    assert artifacts.write(prepared) is True
    before = place.get_modified_time(prepared.path)
    assert artifacts.write(prepared) is False
    assert place.get_modified_time(prepared.path) == before


# The sweep ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_content_of_a_step_that_never_committed_is_swept_and_committed_content_is_not(place: Storage) -> None:
    committed = ArtifactFactory(content=b"committed")
    orphan = keep(b"orphan")
    assert sweep_orphans(USING, limit=10) == 0
    with clock.shifted(DAY):
        assert sweep_orphans(USING, limit=10) == 1
    assert contents(place) == [artifacts.path_of(committed.sha256)]
    assert not Blob.objects.filter(pk=orphan.sha256).exists()
    assert blobs.read_artifact(committed) == b"committed"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("folder")
def test_content_that_was_stored_again_just_now_is_not_swept() -> None:
    keep()
    with clock.shifted(DAY):
        keep()
        assert sweep_orphans(USING, limit=10) == 0
    assert Blob.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("folder")
def test_many_sweepers_at_once_remove_each_orphan_once() -> None:
    for number in range(12):
        keep(f"orphan {number}")
    with clock.shifted(DAY):
        counts = in_threads(3, lambda: sweep_orphans(USING, limit=100))
    assert sum(counts) == 12
    assert Blob.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_content_that_cannot_be_deleted_does_not_stand_in_front_of_others(settings: Any, folder: Path) -> None:
    for number in range(3):
        keep(f"orphan {number}")
    with clock.shifted(DAY):
        settings.STORAGES = {**settings.STORAGES, "roost_artifacts": {"BACKEND": f"{PLACES}.DownStorage"}}
        assert sweep_orphans(USING, limit=2) == 0
        settings.STORAGES = {**settings.STORAGES, "roost_artifacts": {**LOCAL, "OPTIONS": {"location": str(folder)}}}
        assert sweep_orphans(USING, limit=2) == 1
        with clock.shifted(DAY):
            assert sweep_orphans(USING, limit=10) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("folder")
def test_a_sweep_looks_at_a_page_and_tells_where_the_next_one_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "LOOK", 3)
    for number in range(7):
        ArtifactFactory(content=f"needed {number}".encode())
    Blob.objects.update(touched_at=clock.now(USING))
    keep(b"orphan")
    with clock.shifted(DAY):
        pages = [blobs.sweep(USING, limit=10)]
        while pages[-1].place is not None:
            pages.append(blobs.sweep(USING, limit=10, after=pages[-1].place))
    assert [page.removed for page in pages] == [0, 0, 1]
    assert Blob.objects.count() == 7


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("meanwhile", ["stored again", "committed"])
def test_content_that_is_needed_since_the_sweep_looked_is_left_alone(
    meanwhile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keep()
    sweep_one = blobs._sweep_one

    def needed_now(using: str, sha256: str) -> bool:
        if meanwhile == "stored again":
            keep()
        else:
            ArtifactFactory(content=b"content")
        return sweep_one(using, sha256)

    monkeypatch.setattr(blobs, "_sweep_one", needed_now)
    with clock.shifted(DAY):
        assert sweep_orphans(USING, limit=10) == 0
    assert artifacts.read_verified(artifacts.path_of(kept.sha256), kept.sha256) == b"content"


@pytest.mark.django_db(transaction=True)
def test_bytes_whose_row_was_rolled_back_are_found_and_swept(place: Storage) -> None:
    known = ArtifactFactory(content=b"known")
    stray = artifacts.prepare("a", b"stray")
    artifacts.write(stray)
    place.save("notes.txt", ContentFile(b"not ours"))
    assert blobs.adopt_strays(USING, limit=10) == 1
    assert blobs.adopt_strays(USING, limit=10) == 0
    assert sweep_orphans(USING, limit=10) == 0
    with clock.shifted(DAY):
        assert sweep_orphans(USING, limit=10) == 1
    assert contents(place) == sorted([artifacts.path_of(known.sha256), "notes.txt"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("folder")
def test_strays_are_adopted_folder_by_folder_and_not_more_than_asked_for() -> None:
    strays = [artifacts.prepare("a", f"stray {number}") for number in range(5)]
    for stray in strays:
        artifacts.write(stray)
    first = strays[0].sha256[:2]
    assert blobs.adopt_strays(USING, limit=10, folders=[first]) == sum(
        stray.sha256.startswith(first) for stray in strays
    )
    assert blobs.adopt_strays(USING, limit=1) == 1
    assert blobs.adopt_strays(USING, limit=10, folders=["ff", "not there"]) <= 1


@pytest.mark.django_db(transaction=True)
def test_drafts_that_a_crash_left_behind_are_removed_after_a_period(folder: Path) -> None:
    artifacts.storage().save(f"{artifacts.ASIDE}/draft", ContentFile(b"half"))
    blobs.adopt_strays(USING, limit=10)
    assert contents(artifacts.storage()) == [f"{artifacts.ASIDE}/draft"]
    with clock.shifted(DAY):
        blobs.adopt_strays(USING, limit=10)
    assert contents(artifacts.storage()) == []


# Beside a step's transaction ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("folder")
def test_content_stored_in_a_step_that_rolls_back_is_swept_later() -> None:
    with transaction.atomic():
        keep()
        transaction.set_rollback(True)
    # PostgreSQL has the row, committed beside the step; on SQLite it went with the step.
    assert Blob.objects.count() == (1 if connection.vendor == "postgresql" else 0)
    blobs.adopt_strays(USING, limit=10)
    with clock.shifted(DAY):
        assert sweep_orphans(USING, limit=10) == 1
    assert contents(artifacts.storage()) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("folder")
def test_a_thread_of_a_pool_keeps_no_connection_that_storing_opened() -> None:
    def work() -> bool:
        keep()
        return connections[USING].connection is None

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result()


@pytest.mark.django_db
@pytest.mark.usefixtures("folder")
def test_content_stored_inside_a_test_case_is_gone_with_it() -> None:
    keep(b"left by a test case")
    assert Blob.objects.count() == 1
    with closing(connection.copy()) as beside, beside.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM roost_blob")
        assert cursor.fetchone() == (0,)
