from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.db import connection

from runtime import artifacts
from runtime.choices import ClaimMode, ClaimScope, Reason, State, WaitState
from runtime.exceptions import StorageUnavailable
from runtime.models import Event, Lease, Snapshot, WorkItem
from runtime.queries import verify
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def codes() -> list[str]:
    return [problem.code for problem in verify.everything()]


def healthy() -> WorkItem:
    """Write one item in each state, as a store would leave them."""
    by = rows.worker()
    running = rows.running(by, version=2, event_seq=5)
    rows.snapshot(running, 0)
    rows.claim(running, "page", held=True)
    parked = rows.item(State.QUEUED, reason=Reason.RESOURCE)
    rows.claim(parked, "page", held=False)
    rows.wait(rows.item(State.WAITING, asked=True), "a")
    rows.item(State.PAUSED)
    rows.item(State.DONE, version=1, event_seq=3, parent=running)
    fenced = rows.item(State.CANCELLED, epoch=2)
    rows.lease(fenced, by, revoked_at=rows.now())
    rows.claim(fenced, "other", held=True)
    kept = rows.item(State.QUEUED)
    rows.claim(kept, "third", held=True, scope=ClaimScope.ITEM)
    return running


def test_a_healthy_database_has_no_problem() -> None:
    running = healthy()
    assert list(verify.everything()) == []
    assert verify.item(running.pk) == []


BREAK: dict[str, Callable[[WorkItem], object]] = {
    "events": lambda item: Event.objects.filter(work_item=item, seq=3).delete(),
    "snapshots": lambda item: Snapshot.objects.filter(work_item=item, version=1).delete(),
    "no_lease": lambda item: Lease.objects.filter(pk=item.pk).delete(),
    "lease_epoch": lambda item: Lease.objects.filter(pk=item.pk).update(epoch=9),
    "stray_end": lambda item: WorkItem.objects.filter(pk=item.pk).update(finished_at=rows.now()),
    "stray_wish": lambda item: rows.claim(item, "wish", held=False),
    "asked": lambda item: rows.wait(item, "a"),
    "artifact": lambda item: rows.artifact(item, "lost", "f" * 64),
}


@pytest.mark.parametrize("code", BREAK)
def test_each_broken_invariant_of_a_running_item_is_told(code: str) -> None:
    item = healthy()
    BREAK[code](item)
    [problem] = verify.everything()
    assert (problem.code, problem.item) == (code, item.pk)
    assert [found.code for found in verify.item(item.pk)] == [code]


@pytest.mark.parametrize("state", [State.QUEUED, State.DONE, State.WAITING])
def test_a_lease_or_a_held_claim_on_what_does_not_run_is_told(state: str) -> None:
    item = rows.item(state)
    rows.lease(item, rows.worker())
    rows.claim(item, "page", held=True)
    assert codes()[:2] == ["stray_lease", "stray_claim"]


def test_an_ended_item_holds_nothing_and_has_a_time_of_its_end() -> None:
    item = rows.item(State.DONE, finished_at=None)
    rows.claim(item, "page", held=True, scope=ClaimScope.ITEM)
    assert codes() == ["stray_claim", "no_end"]


def test_a_last_event_that_was_never_written_is_told() -> None:
    item = rows.item(event_seq=2)
    Event.objects.filter(work_item=item, seq=2).delete()
    assert codes() == ["events"]


def test_a_version_whose_snapshot_is_missing_is_told() -> None:
    item = rows.item(version=2)
    Snapshot.objects.filter(work_item=item).delete()
    assert codes() == ["snapshots"]


def test_a_parent_that_does_not_exist_is_told() -> None:
    rows.item(parent_id=uuid.uuid4())
    assert codes() == ["parent"]
    with connection.constraint_checks_disabled():
        WorkItem.objects.all().delete()


@pytest.mark.scenario("L29")
@pytest.mark.parametrize(
    ("modes", "fine"),
    [
        ([ClaimMode.EXCLUSIVE, ClaimMode.EXCLUSIVE], False),
        ([ClaimMode.EXCLUSIVE, ClaimMode.SHARED], False),
        ([ClaimMode.COUNTED, ClaimMode.COUNTED], False),
        ([ClaimMode.SHARED, ClaimMode.SHARED], True),
    ],
)
def test_a_resource_held_by_more_than_its_claims_allow_is_told(modes: list[str], fine: bool) -> None:
    by = rows.worker()
    for mode in modes:
        rows.claim(rows.running(by), "page", held=True, mode=mode)
    assert codes() == ([] if fine else ["resource"])


def test_an_artifact_whose_bytes_are_there_is_fine() -> None:
    sha256 = "ab" * 32
    name = artifacts.storage().save(artifacts.path_of(sha256), ContentFile(b"{}"))
    try:
        rows.artifact(rows.item(), "evidence", sha256)
        assert codes() == []
    finally:
        artifacts.storage().delete(name)


def test_the_storage_is_asked_for_artifacts_only_and_its_failure_is_no_lost_artifact(settings: Any) -> None:
    item = rows.item()
    settings.ROOST_ARTIFACT_STORAGE = "nowhere"
    assert codes() == []
    rows.artifact(item, "evidence", "a" * 64)
    with pytest.raises(StorageUnavailable, match="nowhere"):
        codes()


def test_all_items_are_looked_at_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "CHUNK", 2)
    for _ in range(5):
        rows.item(State.RUNNING)
    assert codes() == ["no_lease"] * 5


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_each_chunk_sees_one_moment() -> None:
    healthy()
    assert codes() == []


BREAK_WAITS: dict[str, dict[str, Any]] = {
    "no_wait": {"state": WaitState.WITHDRAWN},
    "missed_answer": {"state": WaitState.OPEN},
    "wait_version": {"base_version": 7},
    "stray_wait": {"state": WaitState.OPEN},
}


@pytest.mark.parametrize("code", BREAK_WAITS)
def test_each_broken_wait_is_found(code: str) -> None:
    waits = State.WAITING if code != "stray_wait" else State.CANCELLED
    item = rows.item(waits, asked=True)
    if code == "missed_answer":
        rows.wait(item, "first", state=WaitState.RESOLVED, resolution=True, needed="any")
    rows.wait(item, "a", **BREAK_WAITS[code])
    assert code in codes()


def test_a_step_that_was_committed_twice_is_found() -> None:
    item = rows.item(event_seq=3, version=1)
    Event.objects.filter(work_item=item, kind="step").update(version=1)
    assert codes() == ["doubled_step"]


def test_a_write_of_an_owner_whose_time_was_over_is_found() -> None:
    item = rows.item(event_seq=3, epoch=2)
    Event.objects.filter(work_item=item, seq=3).update(epoch=1)
    assert codes() == ["zombie"]
