from __future__ import annotations

import pytest

from runtime.queries import journal, timeline, weight
from tests.factories import JournalEntryFactory, SnapshotFactory, WorkItemFactory
from tests.runtime.queries import rows

pytestmark = pytest.mark.django_db


def test_events_are_paged_oldest_first() -> None:
    item = rows.item(event_seq=5)
    first = timeline.events(item.pk, limit=3)
    second = timeline.events(item.pk, after=first.rows[-1].seq, limit=3)
    assert [event.seq for event in (*first.rows, *second.rows)] == [1, 2, 3, 4, 5]
    assert (first.more, second.more) == (True, False)


def test_the_last_events_come_oldest_first() -> None:
    item = rows.item(event_seq=5)
    assert [event.seq for event in timeline.last_events(item.pk, 2)] == [4, 5]


@pytest.mark.scenario("L13")
def test_snapshots_are_paged_and_begin_with_version_0() -> None:
    item = rows.item(version=4)
    rows.snapshot(item, 0, {"n": 0})
    rows.item(version=2)
    first = timeline.history(item.pk, limit=3)
    second = timeline.history(item.pk, after=first.rows[-1].version, limit=3)
    assert [one.data["n"] for one in (*first.rows, *second.rows)] == [0, 1, 2, 3, 4]
    assert (first.more, second.more) == (True, False)


def test_a_snapshot_is_the_latest_unless_a_version_is_named() -> None:
    item = rows.item(version=2)
    latest, named = timeline.snapshot(item.pk), timeline.snapshot(item.pk, 1)
    assert latest is not None
    assert named is not None
    assert (latest.version, named.version) == (2, 1)
    assert timeline.snapshot(item.pk, 9) is None


def test_a_page_of_large_states_is_shorter_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    item = WorkItemFactory()
    for version in range(4):
        SnapshotFactory(work_item=item, version=version, data={"log": "x" * 1000})
    monkeypatch.setattr(weight, "ROOM", 2500)
    first = timeline.history(item.pk)
    assert ([one.version for one in first.rows], first.more) == ([0, 1], True)
    rest = timeline.history(item.pk, after=1)
    assert ([one.version for one in rest.rows], rest.more) == ([2, 3], False)
    monkeypatch.setattr(weight, "ROOM", 10)
    assert [one.version for one in timeline.history(item.pk, after=2).rows] == [3]


def test_a_page_of_large_results_is_shorter_too(monkeypatch: pytest.MonkeyPatch) -> None:
    item = WorkItemFactory(version=1)
    for _ in range(3):
        JournalEntryFactory(work_item=item, result={"page": "x" * 1000})
    monkeypatch.setattr(weight, "ROOM", 2500)
    first = journal.page(item)
    assert (len(first.rows), first.more) == (2, True)
    assert len(journal.page(item, after=first.rows[-1].entry.pk).rows) == 1
