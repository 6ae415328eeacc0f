from __future__ import annotations

import pytest

from runtime.choices import EventKind, State
from runtime.exceptions import NotFound
from runtime.operations.fork import fork
from runtime.queries import diff
from tests.factories import EventFactory, SnapshotFactory, WorkItemFactory

pytestmark = pytest.mark.django_db


def test_two_snapshots_of_one_item_are_compared() -> None:
    item = WorkItemFactory(done=True, version=3)
    found = diff.snapshots(item.pk, 1, 3)
    assert [(one.path, one.before, one.after) for one in found.difference.changes] == [("/count", 1, 3)]
    assert (found.before.version, found.after.version) == (1, 3)


def test_two_snapshots_of_two_items_are_compared() -> None:
    one, other = WorkItemFactory(version=1), WorkItemFactory(version=2)
    assert diff.snapshots(one.pk, 1, 1, other=other.pk).difference.same
    assert not diff.snapshots(one.pk, 1, 2, other=other.pk).difference.same


def test_a_snapshot_that_is_not_kept_is_named() -> None:
    item = WorkItemFactory(version=1)
    with pytest.raises(NotFound, match="no snapshot of version 4"):
        diff.snapshots(item.pk, 1, 4)


@pytest.mark.scenario("S11")
def test_two_runs_are_compared_version_by_version_up_to_where_they_part() -> None:
    left, right = WorkItemFactory(version=2), WorkItemFactory(version=2)
    right.snapshots.filter(version=2).update(data={"count": 2, "more": True})
    EventFactory(work_item=left, kind=EventKind.STEP, version=1, duration=0.5)
    EventFactory(work_item=right, kind=EventKind.RETRY, version=1)
    found = diff.runs(left, right)
    assert ([one.same for one in found.versions], found.diverged, found.next) == ([True, True, False], 2, None)
    second = found.versions[2]
    assert second.difference is not None
    assert second.left is not None
    assert second.right is not None
    assert [change.path for change in second.difference.changes] == ["/more"]
    assert (second.left.label, second.left.retries, second.right.retries) == ("step 2", 0, 1)
    assert found.versions[1].left is not None
    assert found.versions[1].left.duration == 0.5


@pytest.mark.scenario("S11")
def test_a_fork_is_laid_beside_the_version_it_began_with() -> None:
    item = WorkItemFactory(state=State.DONE, version=4, finished_at=None)
    made = fork(item.pk, version=2)
    SnapshotFactory(work_item=made, version=1, data={"count": 3}, label="step 3")
    made.version = 1
    found = diff.runs(item, made)
    assert (found.shift, [one.same for one in found.versions]) == (-2, [True, True, False])
    assert found.diverged == 4
    assert found.versions[2].right is None
    back = diff.runs(made, item)
    assert (back.shift, [one.same for one in back.versions]) == (2, [True, True, False])
    assert back.diverged == 2


def test_long_runs_are_compared_page_by_page() -> None:
    left, right = WorkItemFactory(version=5), WorkItemFactory(version=5)
    first = diff.runs(left, right, limit=4)
    assert (len(first.versions), first.next, first.diverged) == (4, 3, None)
    rest = diff.runs(left, right, after=3, limit=4)
    assert (len(rest.versions), rest.next) == (2, None)
    assert diff.runs(left, right, after=9).versions == ()


def test_items_without_a_snapshot_have_nothing_that_differs_in_state() -> None:
    found = diff.runs(WorkItemFactory(), WorkItemFactory())
    assert [(one.left, one.right, one.same) for one in found.versions] == [(None, None, False)]
