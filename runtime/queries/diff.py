"""Say how states differ: two snapshots of one item, of two items, or two whole runs version by version."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runtime import offload
from runtime.choices import EventKind
from runtime.exceptions import NotFound
from runtime.models import Event, Snapshot, WorkItem
from runtime.queries.jsondiff import MOST, Difference, compare, compare_shown
from runtime.queries.page import checked_limit
from runtime.queries.values import state_of
from runtime.store import work_database
from runtime.store.history import kept_versions

MOST_PLACES = 20
"""Differences told of one version when two runs are compared."""
CHUNK = 5
"""States of each run that are in memory at once: one may have megabytes."""

Shown = Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class SnapshotDiff:
    """Two snapshots, and what changed from the first to the second."""

    before: Snapshot
    after: Snapshot
    difference: Difference


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One run at one version: the step's label, its seconds (None: not known), and how often it was tried in vain."""

    version: int
    label: str
    duration: float | None
    retries: int


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionDiff:
    """Two runs at one place; a side is None where that run did not get so far, and so is the difference then."""

    left: Side | None
    right: Side | None
    difference: Difference | None

    @property
    def same(self) -> bool:
        """Whether both runs made the same state by a step of the same label."""
        if self.left is None or self.right is None or self.difference is None:
            return False
        return self.difference.same and self.left.label == self.right.label


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDiff:
    """Two runs side by side. `shift` is what is added to a version on the left for its partner on the right.

    `diverged` is the first place, by the left's version, where they are not the same, None when there is none among
    the `versions`; `next` is the version after which there are more than were looked at, None when there are none.
    """

    left: WorkItem
    right: WorkItem
    shift: int
    versions: tuple[VersionDiff, ...]
    diverged: int | None
    next: int | None


def snapshots(
    item: uuid.UUID,
    before: int,
    after: int,
    *,
    other: uuid.UUID | None = None,
    most: int = MOST,
    shown: Shown | None = None,
    using: str | None = None,
) -> SnapshotDiff:
    """Compare Snapshot `before` of the item with Snapshot `after` of the same or the other item. Raises `NotFound`.

    With `shown`, which masks a state, what it leaves of both is told.
    """
    using = using or work_database()
    first, second = _snapshot(item, before, using), _snapshot(other or item, after, using)
    return SnapshotDiff(before=first, after=second, difference=_compared(first, second, most, shown))


def _compared(first: Snapshot, second: Snapshot, most: int, shown: Shown | None) -> Difference:
    """Compare two states; of those in the artifact storage, two with one reference are the same without being read."""
    if offload.in_value(first.data) is not None and first.data == second.data:
        return compare(first.data, second.data, most=most)
    before, after = state_of(first), state_of(second)
    return compare(before, after, most=most) if shown is None else compare_shown(before, after, shown, most=most)


def _snapshot(item: uuid.UUID, version: int, using: str) -> Snapshot:
    found: Snapshot | None = Snapshot.objects.using(using).filter(work_item=item, version=version).first()
    if found is None:
        raise NotFound(f"Work item {item} has no snapshot of version {version}. It has: {kept_versions(using, item)}.")
    return found


def runs(
    left: WorkItem,
    right: WorkItem,
    *,
    after: int = -1,
    limit: int = 100,
    shown: Shown | None = None,
    using: str | None = None,
) -> RunDiff:
    """Compare two runs version by version, from the left's version after `after` on, at most `limit` of them.

    A fork is laid beside the version of its original that it began with, so that its first state stands beside the
    one it was copied from. With `shown`, which masks a state, what it leaves of both is told.
    """
    using = using or work_database()
    shift = _shift(left, right)
    last = max(left.version, right.version - shift)
    start = max(after + 1, 0, -shift)
    stop = min(start + checked_limit(limit), last + 1)
    pairs = _pairs(left, right, start, stop, shift, using)
    versions = tuple(_versioned(of_left, of_right, shown) for of_left, of_right in pairs)
    diverged = next((place for place, one in enumerate(versions, start) if not one.same), None)
    seen = stop - 1 if start <= last and stop <= last else None
    return RunDiff(left=left, right=right, shift=shift, versions=versions, diverged=diverged, next=seen)


def _shift(left: WorkItem, right: WorkItem) -> int:
    if right.forked_from_id == left.pk:
        return -(right.forked_version or 0)
    return left.forked_version or 0 if left.forked_from_id == right.pk else 0


_Found = tuple[Side, Snapshot]


def _pairs(
    left: WorkItem, right: WorkItem, start: int, stop: int, shift: int, using: str
) -> Iterator[tuple[_Found | None, _Found | None]]:
    """Yield what each run has at the places start…stop-1, a chunk of states in memory at a time."""
    for low in range(start, stop, CHUNK):
        high = min(low + CHUNK, stop)
        of_left = _sides(left, low, high, using)
        of_right = _sides(right, low + shift, high + shift, using)
        for place in range(low, high):
            yield of_left.pop(place, None), of_right.pop(place + shift, None)


def _versioned(left: _Found | None, right: _Found | None, shown: Shown | None) -> VersionDiff:
    difference = None
    if left is not None and right is not None:
        difference = _compared(left[1], right[1], MOST_PLACES, shown)
    return VersionDiff(left=left and left[0], right=right and right[0], difference=difference)


def _sides(item: WorkItem, low: int, high: int, using: str) -> dict[int, _Found]:
    kept = Snapshot.objects.using(using).filter(work_item=item, version__gte=low, version__lt=high)
    told = Event.objects.using(using).filter(work_item=item, version__gte=low - 1, version__lt=high)
    durations = dict(told.filter(kind=EventKind.STEP).values_list("version", "duration"))
    retries: dict[int, int] = {}
    for version in told.filter(kind=EventKind.RETRY).values_list("version", flat=True):
        # A retry is told at the version its step began from.
        retries[version + 1] = retries.get(version + 1, 0) + 1
    return {
        one.version: (
            Side(
                version=one.version,
                label=one.label,
                duration=durations.get(one.version),
                retries=retries.get(one.version, 0),
            ),
            one,
        )
        for one in kept
    }
