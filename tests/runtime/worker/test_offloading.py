"""Large values go through the artifact storage, and nobody who works with them notices."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from runtime import artifacts, clock, faults, offload
from runtime.choices import State
from runtime.exceptions import InvalidInput, StorageUnavailable
from runtime.models import Blob, Offloaded, WorkItem
from runtime.models import Snapshot as Kept
from runtime.operations.enqueue import enqueue
from runtime.operations.enqueue_many import enqueue_many
from runtime.operations.follow_up import follow_up
from runtime.operations.fork import fork
from runtime.operations.import_run import import_run
from runtime.operations.redrive import redrive
from runtime.queries import values, verify
from runtime.queries.export import export
from runtime.testing import drain
from tests.orphans import sweep_orphans
from tests.runtime.places import contents
from tests.runtime.worker.growing import ENGINES, LONG, lose, places, state_sha

DAY = dt.timedelta(days=1, seconds=1)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("folder")]


@pytest.fixture(autouse=True)
def engines(settings: Any) -> None:
    """Register the engines, and move what is longer than 65,536 characters."""
    settings.ROOST_ENGINES = ENGINES
    settings.ROOST_OFFLOAD_BYTES = 65_536


@pytest.mark.parametrize("engine", ["growing", "atomic"])
def test_steps_see_large_values_as_they_were_and_the_database_keeps_references(engine: str) -> None:
    item = enqueue(engine, {"text": LONG})
    assert drain() == 3
    item.refresh_from_db()
    assert item.state == State.DONE
    assert offload.whole(item.result) == {"text": LONG}
    assert len(json.dumps([item.payload, item.result])) < 400
    assert all(len(json.dumps(one.data)) < 200 for one in Kept.objects.filter(work_item=item))
    assert places(item) == [("payload", 0), ("result", 0), *[("state", version) for version in range(4)]]
    assert verify.item(item.pk) == []


@pytest.mark.parametrize("engine", ["growing", "atomic"])
def test_an_item_that_is_claimed_anew_reads_its_state_back(engine: str) -> None:
    item = enqueue(engine, {"text": LONG, "delay": 60})
    assert drain(skip_delays=True) == 3
    item.refresh_from_db()
    assert (item.state, offload.whole(item.result)) == (State.DONE, {"text": LONG})


def test_small_values_and_a_setting_that_is_off_touch_no_storage(settings: Any, folder: Path) -> None:
    enqueue("growing", {"text": "short"})
    settings.ROOST_OFFLOAD_BYTES = None
    enqueue("growing", {"text": LONG})
    assert drain() == 6
    assert not Offloaded.objects.exists()
    assert not Blob.objects.exists()
    assert contents(artifacts.storage()) == []


def test_values_from_before_the_setting_was_changed_are_read_as_they_are(settings: Any) -> None:
    moved = enqueue("growing", {"text": LONG})
    settings.ROOST_OFFLOAD_BYTES = None
    kept = enqueue("growing", {"text": LONG})
    settings.ROOST_OFFLOAD_BYTES = 65_536
    assert drain() == 6
    for item in (moved, kept):
        item.refresh_from_db()
        assert offload.whole(item.result) == {"text": LONG}
    assert isinstance(kept.payload["text"], str)


def test_children_that_a_step_spawns_have_their_payloads_moved_too() -> None:
    parent = enqueue("parent", {"text": LONG})
    assert drain() == 4
    child = WorkItem.objects.get(parent=parent)
    assert offload.in_value(child.payload) is not None
    assert offload.whole(child.result) == {"text": LONG}


def test_many_items_share_one_content(folder: Path) -> None:
    enqueue_many([{"engine": "growing", "payload": {"text": LONG}} for _ in range(5)])
    assert Blob.objects.count() == len(contents(artifacts.storage())) == 1
    assert Offloaded.objects.count() == 5


# What is swept, and what is not --------------------------------------------------------------------------------------


def test_content_that_is_referred_to_is_never_swept_and_goes_after_its_item() -> None:
    item = enqueue("growing", {"text": LONG})
    assert drain() == 3
    with clock.shifted(DAY):
        assert sweep_orphans("default", limit=100) == 0
    assert values.read(item.pk, "state", version=2).value == {"n": 2, "text": LONG}
    WorkItem.objects.filter(pk=item.pk).delete()
    with clock.shifted(DAY):
        sweep_orphans("default", limit=100)
    assert contents(artifacts.storage()) == []
    assert not Blob.objects.exists()


def test_a_snapshot_that_a_policy_drops_lets_go_of_its_content() -> None:
    item = enqueue("compact", {"text": LONG})
    assert drain() == 3
    assert places(item) == [("payload", 0), ("result", 0), ("state", 3)]
    with clock.shifted(DAY):
        # The state of version 1 is nobody's any more; versions 2 and 3 are one content, as the last step kept it.
        assert sweep_orphans("default", limit=100) == 1
    assert values.read(item.pk, "state").value == {"n": 2, "text": LONG}


def test_a_fork_and_a_redrive_keep_what_they_were_copied_from() -> None:
    item = enqueue("growing", {"text": LONG})
    assert drain() == 3
    copy = fork(item.pk, version=1)
    assert places(copy) == [("payload", 0), ("state", 0)]
    WorkItem.objects.filter(pk=item.pk).update(state=State.FAILED)
    again = redrive(item.pk, from_version=2)
    assert ("state", again.version) in places(again)
    Kept.objects.filter(work_item=item, version=2).delete()
    Offloaded.objects.filter(work_item=item, place="state", version=2).delete()
    with clock.shifted(DAY):
        sweep_orphans("default", limit=100)
    assert drain() == 3
    for one in (copy, again):
        one.refresh_from_db()
        assert (one.state, offload.whole(one.result)) == (State.DONE, {"text": LONG})


def test_the_result_of_a_second_end_takes_the_place_of_the_first() -> None:
    item = enqueue("growing", {"text": LONG})
    assert drain() == 3
    follow_up(item.pk)
    assert drain() == 1
    item.refresh_from_db()
    assert offload.whole(item.result) == {"text": LONG}
    assert [place for place, _ in places(item)].count("result") == 1


@pytest.mark.parametrize(("place", "version"), [("payload", 0), ("result", 0), ("state", 3)])
def test_verify_finds_values_that_nothing_keeps_and_bytes_that_are_lost(folder: Path, place: str, version: int) -> None:
    item = enqueue("growing", {"text": LONG})
    drain()
    assert list(verify.everything()) == []
    row = Offloaded.objects.get(work_item=item, place=place, version=version)
    lost = Offloaded.objects.filter(work_item=item, blob=row.blob_id).count()
    path = lose(folder, row.blob_id)
    found = verify.item(item.pk)
    assert {problem.code for problem in found} == {"lost_value"}
    assert len(found) == lost
    path.write_bytes(b"")
    row.delete()
    (problem,) = verify.item(item.pk)
    assert (problem.code, place in problem.text, row.blob_id in problem.text) == ("unkept_value", True, True)


# What goes wrong -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["growing", "atomic"])
@pytest.mark.parametrize("what", ["gone", "changed"])
def test_lost_content_fails_the_item_with_its_name_and_hash_and_a_redrive_brings_it_back(
    engine: str, what: str, folder: Path
) -> None:
    item = enqueue(engine, {"text": LONG, "delay": 60})
    assert drain() == 1
    sha256 = state_sha(item, 1)
    path = folder / artifacts.path_of(sha256)
    content = path.read_bytes()
    lose(folder, sha256)
    if what == "changed":
        path.write_bytes(content.replace(b"long", b"LONG"))
    drain(skip_delays=True)
    item.refresh_from_db()
    assert (item.state, item.reason, item.version) == (State.FAILED, "attempts_exhausted", 1)
    assert sha256 in item.last_error["message"]
    assert str(item.pk) in item.last_error["message"]
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    redrive(item.pk)
    drain(skip_delays=True)
    item.refresh_from_db()
    assert (item.state, offload.whole(item.result)) == (State.DONE, {"text": LONG})


@pytest.mark.parametrize("engine", ["growing", "atomic"])
def test_a_storage_that_is_away_costs_an_attempt_and_no_version(engine: str, settings: Any) -> None:
    working = settings.STORAGES
    settings.ROOST_OFFLOAD_BYTES = None
    item = enqueue(engine, {"text": LONG})
    settings.ROOST_OFFLOAD_BYTES = 65_536
    settings.STORAGES = {**working, "roost_artifacts": {"BACKEND": "tests.runtime.places.DownStorage"}}
    drain(skip_delays=True)
    item.refresh_from_db()
    assert (item.state, item.version, item.reason) == (State.FAILED, 0, "attempts_exhausted")
    assert item.last_error["type"] == "StorageUnavailable"
    settings.STORAGES = working
    redrive(item.pk)
    drain(skip_delays=True)
    item.refresh_from_db()
    assert item.state == State.DONE


def test_an_enqueue_whose_storage_is_away_stores_nothing(settings: Any) -> None:
    down = {"BACKEND": "tests.runtime.places.DownStorage"}
    settings.STORAGES = {**settings.STORAGES, "roost_artifacts": down}
    with pytest.raises(StorageUnavailable):
        enqueue("growing", {"text": LONG})
    assert not WorkItem.objects.exists()


@pytest.mark.parametrize("point", ["artifact.before", "artifact.after"])
def test_an_enqueue_that_is_cut_off_leaves_at_most_content_that_is_swept(point: str) -> None:
    with faults.planned(faults.Plan(point=point, action="raise")), pytest.raises(faults.InjectedFault):
        enqueue("growing", {"text": LONG})
    assert not WorkItem.objects.exists()
    with clock.shifted(DAY):
        sweep_orphans("default", limit=10)
    assert contents(artifacts.storage()) == []


def test_a_reference_cannot_be_handed_in() -> None:
    victim = enqueue("growing", {"text": LONG})
    forged = victim.payload
    assert offload.in_value(forged) is not None
    with pytest.raises(InvalidInput, match="keeps for itself"):
        enqueue("growing", forged)
    with pytest.raises(InvalidInput, match="keeps for itself"):
        fork(victim.pk, version=0, state=forged)
    drain()
    with pytest.raises(InvalidInput, match="keeps for itself"):
        fork(victim.pk, payload=forged)
    item = enqueue("forging", {"state": forged})
    drain()
    item.refresh_from_db()
    assert (item.state, item.version) == (State.FAILED, 0)
    document = export(victim.pk)
    document["item"]["payload"] = forged
    with pytest.raises(InvalidInput, match=r"item\.payload is a reference"):
        import_run(document)
