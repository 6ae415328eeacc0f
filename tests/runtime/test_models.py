"""The tables hold what Roost promises: one winner among writers, one key, one version, nothing impossible."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.models import ProtectedError

from runtime.exceptions import Conflict, StaleVersion
from runtime.models import Snapshot, WorkItem
from runtime.models.workitem import new_id
from tests.factories import (
    ArtifactFactory,
    EventFactory,
    ResourceClaimFactory,
    ResourceFactory,
    SnapshotFactory,
    WorkItemFactory,
)

TRICKY = {
    "": "",
    "ü 🐦 \u202e \x7f": "line\nbreak\ttab \\ \" ' %s {} \u2028",
    "numbers": [0, -1, 2**63, 10**40, 1.5, -0.1, 1e-300, 5e-324],
    "nested": [[[[]]], {}, {"a": {"b": [None, True, False]}}],
}


# Compare and set ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_write_moves_the_row_version_and_the_instance() -> None:
    item = WorkItemFactory()
    before = item.row_version
    assert item.compare_and_set(priority=7) is item
    assert (item.priority, item.row_version) == (7, before + 1)
    stored = WorkItem.objects.get(pk=item.pk)
    assert (stored.priority, stored.row_version) == (7, before + 1)


@pytest.mark.django_db
def test_a_writer_whose_reading_is_stale_is_refused_and_left_as_it_was() -> None:
    item = WorkItemFactory()
    mine, theirs = WorkItem.objects.get(pk=item.pk), WorkItem.objects.get(pk=item.pk)
    theirs.compare_and_set(priority=1)
    with pytest.raises(StaleVersion, match=f"work item {item.pk} changed since version {mine.row_version}") as caught:
        mine.compare_and_set(priority=2)
    assert isinstance(caught.value, Conflict)
    assert (mine.priority, mine.row_version) == (0, theirs.row_version - 1)
    assert WorkItem.objects.get(pk=item.pk).priority == 1


@pytest.mark.django_db
def test_a_row_that_is_gone_is_stale() -> None:
    item = WorkItemFactory()
    WorkItem.objects.filter(pk=item.pk).delete()
    with pytest.raises(StaleVersion):
        item.compare_and_set(priority=2)


@pytest.mark.django_db(transaction=True)
def test_of_many_writers_at_one_instant_exactly_one_wins() -> None:
    item = WorkItemFactory()
    start = threading.Barrier(4)

    def write(priority: int) -> bool:
        try:
            mine = WorkItem.objects.get(pk=item.pk)
            start.wait()
            mine.compare_and_set(priority=priority)
        except StaleVersion:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(write, range(1, 5)))
    assert won.count(True) == 1
    item.refresh_from_db()
    assert item.priority == won.index(True) + 1


# What the database itself refuses -----------------------------------------------------------------------------------


def twice(make: Callable[[], object]) -> None:
    make()
    with pytest.raises(IntegrityError), transaction.atomic():
        make()


@pytest.mark.django_db
def test_one_idempotency_key_is_one_item_of_its_namespace() -> None:
    twice(lambda: WorkItemFactory(idempotency_key="k"))
    WorkItemFactory(idempotency_key="k", namespace="other")
    WorkItemFactory(idempotency_key=None)
    WorkItemFactory(idempotency_key=None)


@pytest.mark.django_db
def test_one_version_has_one_snapshot_one_number_one_event_and_one_name_one_artifact() -> None:
    item = WorkItemFactory()
    twice(lambda: SnapshotFactory(work_item=item, version=1))
    twice(lambda: EventFactory(work_item=item, seq=50))
    twice(lambda: ArtifactFactory(work_item=item, name="same"))


@pytest.mark.django_db
def test_one_key_is_one_resource_and_one_item_claims_it_once() -> None:
    twice(lambda: ResourceFactory(key="domain:example.com"))
    resource, item = ResourceFactory(), WorkItemFactory()
    twice(lambda: ResourceClaimFactory(resource=resource, work_item=item, held=False))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "impossible", [{"state": "dreaming"}, {"version": -1}, {"epoch": -1}, {"attempt": -1}, {"deaths": -1}]
)
def test_an_impossible_item_is_refused(impossible: dict[str, Any]) -> None:
    item = WorkItemFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        WorkItem.objects.filter(pk=item.pk).update(**impossible)


@pytest.mark.django_db
def test_content_that_an_artifact_needs_cannot_be_deleted() -> None:
    artifact = ArtifactFactory()
    with pytest.raises(ProtectedError):
        artifact.blob.delete()


# Values -------------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("value", [None, True, 0, "", [], {}, "text", TRICKY])
def test_json_comes_back_as_it_was_stored(value: Any) -> None:
    snapshot = SnapshotFactory(data=value)
    assert Snapshot.objects.get(pk=snapshot.pk).data == value


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = [new_id() for _ in range(2000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {one.version for one in made} == {7}


@pytest.mark.django_db
@pytest.mark.parametrize(("state", "live"), [("running", True), ("paused", True), ("done", False), ("failed", False)])
def test_an_item_knows_whether_it_has_ended(state: str, live: bool) -> None:
    assert WorkItemFactory(**{state: True}).is_live is live
