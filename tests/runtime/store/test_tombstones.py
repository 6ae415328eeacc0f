"""A removal that a storage carries out late takes nothing with it that somebody has stored meanwhile."""

from __future__ import annotations

import datetime as dt
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import Storage
from django.db import IntegrityError, OperationalError, connection, transaction

from runtime import artifacts, clock, faults, offload
from runtime.faults import InjectedFault, Plan
from runtime.models import Blob, Offloaded, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries import verify
from runtime.store import blobs
from runtime.store.transactions import is_retryable
from tests.factories import ArtifactFactory, WorkItemFactory
from tests.orphans import sweep_orphans
from tests.runtime.places import PLACES, USING, LateStorage, contents, in_threads, keep

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scenario("B9")]

DAY = dt.timedelta(days=1, seconds=1)
LONG = "x" * 70_000


@pytest.fixture
def late(settings: Any) -> Iterator[type[LateStorage]]:
    """Give the artifacts a storage that removes late."""
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": {"BACKEND": f"{PLACES}.LateStorage"}}
    LateStorage.sent.clear()
    LateStorage.answers = False
    yield LateStorage
    LateStorage.sent.clear()


def sweep(days: int = 1) -> int:
    """Sweep, so many days later."""
    with clock.shifted(days * DAY):
        return sweep_orphans(USING, limit=10)


def needed(sha256: str) -> bytes:
    """Refer to content that was stored, and return it as it is read."""
    prepared = artifacts.prepare("a", b"content")
    assert prepared.sha256 == sha256
    blob = Blob.objects.get(pk=sha256)
    return artifacts.read_verified(blob.path, sha256)


def test_content_stored_again_while_its_removal_is_under_way_stays(late: type[LateStorage]) -> None:
    first = keep()
    assert sweep() == 0
    assert len(late.sent) == 1, "the removal was sent"
    assert not Blob.objects.filter(pk=first.sha256).exists(), "a commit that refers to it would pass"
    again = keep()
    assert again.sha256 == first.sha256
    late.arrive()
    assert needed(again.sha256) == b"content"
    path = Blob.objects.get(pk=again.sha256).path
    assert path != artifacts.path_of(again.sha256)
    assert keep().sha256 == again.sha256
    assert Blob.objects.get(pk=again.sha256).path == path, "whoever stores it next finds that copy"


def test_a_sweeper_that_died_with_its_removal_under_way_leaves_what_the_next_one_ends(late: type[LateStorage]) -> None:
    first = keep()
    with faults.planned(Plan(point="orphans.after", action="raise")), pytest.raises(InjectedFault):
        sweep()
    assert [blob.pk for blob in Blob.objects.all()] == [blobs.tombstone_key(first.sha256)]
    assert sweep() == 0, "it was taken over just now"
    late.answers = True
    assert sweep(days=2) == 1
    late.arrive()
    assert not Blob.objects.exists()
    assert contents(artifacts.storage()) == []
    keep()
    assert Blob.objects.get().path == artifacts.path_of(first.sha256), "the first name is free again"


def test_two_copies_are_removed_one_after_the_other(late: type[LateStorage]) -> None:
    keep()
    assert sweep() == 0
    with clock.shifted(DAY):
        keep()
    late.answers = True
    assert sweep(days=3) == 2, "first the tombstone, which is older"
    late.arrive()
    assert contents(artifacts.storage()) == []
    assert not Blob.objects.exists()


@pytest.mark.usefixtures("folder")
def test_many_who_store_beside_a_tombstone_agree_on_one_copy() -> None:
    first = keep()
    Blob.objects.filter(pk=first.sha256).delete()
    Blob.objects.create(
        sha256=blobs.tombstone_key(first.sha256),
        size=7,
        path=artifacts.path_of(first.sha256),
        touched_at=clock.now(USING),
    )
    kept = in_threads(4, keep)
    assert {one.sha256 for one in kept} == {first.sha256}
    path = Blob.objects.get(pk=first.sha256).path
    assert contents(artifacts.storage()) == sorted([artifacts.path_of(first.sha256), path])


def test_a_sweeper_of_another_time_does_not_take_a_tombstone_with_it(late: type[LateStorage]) -> None:
    late.answers = True
    first = keep()
    delete = artifacts.delete

    def taken_over(path: str) -> None:
        delete(path)
        Blob.objects.filter(pk=blobs.tombstone_key(first.sha256)).update(touched_at=clock.now(USING))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifacts, "delete", taken_over)
        assert sweep() == 1
    assert Blob.objects.filter(pk=blobs.tombstone_key(first.sha256)).exists()


def test_a_copy_that_nobody_knows_is_found_when_it_is_old_and_one_in_use_is_left(place: Storage) -> None:
    kept = ArtifactFactory(content=b"content")
    stray = artifacts.path_of(kept.sha256, "0123abcd")
    place.save(stray, artifacts.ContentFile(b"content"))
    assert blobs.adopt_strays(USING, limit=10) == 0, "somebody may have written it just now"
    with clock.shifted(DAY):
        assert blobs.adopt_strays(USING, limit=10) == 1
        assert blobs.adopt_strays(USING, limit=10) == 0
    assert sweep(days=3) == 1
    assert contents(place) == [artifacts.path_of(kept.sha256)]
    assert blobs.read_artifact(kept) == b"content"


def test_a_large_value_is_read_from_the_copy_that_it_was_stored_as(late: type[LateStorage], settings: Any) -> None:
    settings.ROOST_OFFLOAD_BYTES = 65_536
    text = json.dumps({"text": LONG}, separators=(",", ":"))
    blobs.put(USING, offload.prepared(text))
    assert sweep() == 0
    kept = blobs.put(USING, offload.prepared(text))
    late.arrive()
    reference = offload.Reference(kept.sha256, kept.size, kept.copy)
    assert offload.in_text(reference.text) == reference
    assert offload.whole_text(reference.text, "value") == text
    item = WorkItemFactory(done=True, result=json.loads(reference.text))
    Offloaded.objects.create(work_item=item, place="result", version=0, blob_id=kept.sha256)
    assert [one.code for one in verify.item(item.pk) if one.code in ("unkept_value", "lost_value")] == []
    WorkItem.objects.filter(pk=item.pk).update(result=json.loads(offload.Reference(kept.sha256, kept.size).text))
    assert "unkept_value" in [one.code for one in verify.item(item.pk)]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_large_payload_can_be_enqueued_in_a_transaction_that_sees_the_past(settings: Any, level: str) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite what is stored in a transaction is part of it")
    settings.ROOST_OFFLOAD_BYTES = 65_536
    settings.ROOST_ENGINES = {"counter": "engines.counter.Counter"}
    payload = {"text": LONG}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engines.counter.Counter.check_payload", lambda self, payload: None)
        try:
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
                    cursor.execute("SELECT count(*) FROM roost_workitem")
                made = enqueue("counter", payload)
        except IntegrityError as error:
            pytest.fail(f"the caller's commit does not find the content: {error}")
    made.refresh_from_db()
    assert offload.in_value(made.payload) is not None
    assert offload.whole(made.payload) == payload


@pytest.mark.usefixtures("folder")
def test_a_transaction_that_sees_the_past_does_not_store_beside_a_tombstone_of_later() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("on SQLite nobody sweeps while another writes")
    first = keep()

    def bury() -> None:
        with clock.shifted(DAY), transaction.atomic():
            assert blobs._bury(USING, first.sha256) is not None

    def store_later() -> None:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("SELECT count(*) FROM roost_blob")
            in_threads(1, bury)
            keep()

    with pytest.raises(OperationalError, match="could not serialize") as refused:
        store_later()
    assert is_retryable(refused.value)
    keep()
    assert Blob.objects.get(pk=first.sha256).path != artifacts.path_of(first.sha256)


def test_drafts_and_copies_are_told_apart(folder: Path) -> None:
    kept = keep()
    (folder / artifacts.path_of(kept.sha256)).with_name("not-a-hash").write_text("")
    odd = folder / artifacts.path_of(kept.sha256)
    os.utime(odd, (0, 0))
    with clock.shifted(DAY):
        assert blobs.adopt_strays(USING, limit=10) == 0
