"""Remove old events and snapshots of items that stay. Shared by both stores.

The newest event and the latest snapshot always stay, and so do a snapshot that a fork began from or that was restored,
a fork's own beginning, and the events of a pause that `resume` reads. Recorded calls stay with their item: quotas of a
run are counted from them. Waits go with the signals that they took, once the events of the steps that consumed them
have gone. Events go from the first on, so that what is left has no gap; `PrunedHistory` says how far.

The item's row is locked meanwhile, in a short transaction; one that somebody else has locked is left to the next time.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from django.db.models import Exists, Max, OuterRef, Q, Subquery

from runtime import clock, faults
from runtime.choices import EventKind, OffloadPlace, State, WaitState
from runtime.models import Event, Offloaded, PrunedHistory, Signal, Snapshot, Wait, WorkItem
from runtime.store.horizon import delete_events
from runtime.store.transactions import transacted

ASKED = (EventKind.PAUSED, EventKind.RESUMED)
PAUSES = (*ASKED, EventKind.HELD)
"""What `resume` and the taking up of held items read of a paused item."""
ROWS = 1_000
"""Events, and snapshots, that one transaction removes at the most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trimmed:
    """How many rows were removed from an item's history; `more` says that there is more to remove."""

    events: int = 0
    snapshots: int = 0
    more: bool = False


def look(
    using: str, cutoff: dt.datetime, *, after: uuid.UUID | None, limit: int
) -> tuple[list[uuid.UUID], uuid.UUID | None]:
    """Return, of the next `limit` items after an id, those whose histories begin before the cutoff, and the last id.

    Reads items in the order of their ids, which begin with the time they were made: no further than the cutoff. The
    last id is None at the end.
    """
    rows = WorkItem.objects.using(using).filter(pk__lt=_first_id(cutoff))
    rows = rows if after is None else rows.filter(pk__gt=after)
    page = list(rows.order_by("pk").values_list("pk", flat=True)[:limit])
    # The newest of each always stays: an item with no other has nothing to remove.
    events = Event.objects.using(using).filter(work_item=OuterRef("pk"), seq__lt=OuterRef("event_seq")).order_by("seq")
    snapshots = Snapshot.objects.using(using).filter(work_item=OuterRef("pk"), version__lt=OuterRef("version"))
    snapshots = snapshots.filter(restored_from=None).exclude(version=0, work_item__forked_version__isnull=False)
    snapshots = snapshots.order_by("version")
    here = WorkItem.objects.using(using).filter(pk__in=page, legal_hold=False)
    old = here.annotate(
        first_event=Subquery(events.values("created_at")[:1]),
        first_snapshot=Subquery(snapshots.values("created_at")[:1]),
    ).filter(Q(first_event__lt=cutoff) | Q(first_snapshot__lt=cutoff))
    return list(old.order_by("pk").values_list("pk", flat=True)), page[-1] if len(page) == limit else None


def _first_id(moment: dt.datetime) -> uuid.UUID:
    """Return an id below all that were made at that moment or later."""
    return uuid.UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def trim(using: str, item: uuid.UUID, cutoff: dt.datetime) -> Trimmed:
    """Remove a bounded part of what is older than the cutoff from an item's history, in one transaction."""
    with faults.around("prune"):
        return transacted(using, partial(_trim, using, item, cutoff))


def _trim(using: str, pk: uuid.UUID, cutoff: dt.datetime) -> Trimmed:
    rows = WorkItem.objects.using(using).select_for_update(skip_locked=True, no_key=True)
    item = rows.filter(pk=pk, legal_hold=False).first()
    if item is None:
        return Trimmed()
    old = _old_snapshots(item, cutoff, using)
    through, version = _events_through(item, cutoff, using)
    if old:
        forget_snapshots(item, old, using)
    if through:
        _forget_waits(item, version, using)
    if old or through:
        note(item, through, version, old, using)
    events = delete_events(using, [item.pk], through=through) if through else 0
    return Trimmed(events=events, snapshots=len(old), more=ROWS in (events, len(old)))


def _old_snapshots(item: WorkItem, cutoff: dt.datetime, using: str) -> list[int]:
    """Return the versions of the first snapshots that may go now. Of younger ones, one page is looked at."""
    rows = Snapshot.objects.using(using).filter(work_item=item)
    restored = rows.filter(restored_from__isnull=False, restored_from=OuterRef("version"))
    forks = WorkItem.objects.using(using).filter(forked_from=item, forked_version=OuterRef("version"))
    old = rows.filter(~Exists(restored), ~Exists(forks), version__lt=item.version)
    old = (old if item.forked_version is None else old.exclude(version=0)).order_by("version")
    found = old.values_list("version", "created_at")[:ROWS]
    return [version for version, _at in takewhile(lambda one: one[1] < cutoff, found)]


def forget_snapshots(item: WorkItem, versions: Collection[int], using: str) -> int:
    """Remove these snapshots, and what keeps the contents that their states were moved to; return how many."""
    moved = Offloaded.objects.using(using).filter(work_item=item, place=OffloadPlace.STATE)
    moved.filter(version__in=versions).delete()
    return Snapshot.objects.using(using).filter(work_item=item, version__in=versions).delete()[0]


def _events_through(item: WorkItem, cutoff: dt.datetime, using: str) -> tuple[int, int]:
    """Return the number and the version of the last event that may go now, zeros for none."""
    rows = Event.objects.using(using).filter(work_item=item, seq__lt=item.event_seq).order_by("seq")
    if item.state == State.PAUSED or item.pause_requested:
        rows = rows.filter(seq__lt=_pause(item, using))
    through = version = 0
    for seq, at, of in rows.values_list("seq", "created_at", "version")[:ROWS]:
        if at >= cutoff:
            break
        through, version = seq, of
    return through, version


def _pause(item: WorkItem, using: str) -> int:
    """Return the first event that is read of an item's pause, 0 where there is none.

    A pause may have been asked for while the step ran that then held the item: taking it up looks for that, among the
    events of the same owner.
    """
    told = Event.objects.using(using).filter(work_item=item)
    last = told.filter(kind__in=PAUSES).aggregate(last=Max("seq"))["last"]
    asked = told.filter(kind__in=ASKED, epoch=item.epoch).aggregate(last=Max("seq"))["last"]
    return min((seq for seq in (last, asked) if seq is not None), default=0)


def _forget_waits(item: WorkItem, version: int, using: str) -> None:
    """Remove the waits whose answers were used by steps of which no event is left, and the signals they took."""
    used = Wait.objects.using(using).filter(work_item=item, state=WaitState.CONSUMED, consumed_version__lte=version)
    Signal.objects.using(using).filter(taken_by__in=used, consumed_version__isnull=False).delete()
    used.filter(~Exists(Signal.objects.using(using).filter(taken_by=OuterRef("pk")))).delete()


def note(item: WorkItem, through: int, version: int, snapshots: Iterable[int], using: str) -> None:
    """Say how far the history of a locked item has gone: events up to `through`, of that version, and snapshots."""
    rows = PrunedHistory.objects.using(using)
    noted = rows.filter(pk=item.pk).first() or PrunedHistory(work_item_id=item.pk)
    if through:
        noted.events_through, noted.steps_through = through, version
    noted.snapshots_through = max(noted.snapshots_through, *snapshots, 0)
    noted.pruned_at = clock.now(using)
    noted.save(using=using)
