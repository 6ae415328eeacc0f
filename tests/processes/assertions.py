"""What must hold of any run, read from the tables alone."""

from __future__ import annotations

import uuid

from runtime.models import Event, Lease, ResourceClaim, Snapshot, WorkItem
from tests.ledger.models import Entry


def assert_each_step_once(ids: list[uuid.UUID], steps: int, *, rows: bool = False) -> None:
    """Every item is done; versions 0…n, events 1…m and (for `write`) rows 1…n are there once each."""
    for pk in ids:
        item = WorkItem.objects.get(pk=pk)
        assert (item.state, item.version) == ("done", steps)
        versions = list(Snapshot.objects.filter(work_item=pk).order_by("version").values_list("version", flat=True))
        assert versions == list(range(steps + 1))
        seqs = list(Event.objects.filter(work_item=pk).order_by("seq").values_list("seq", flat=True))
        assert seqs == list(range(1, item.event_seq + 1))
        assert Event.objects.filter(work_item=pk, kind="step").count() == steps
        if rows:
            numbers = sorted(Entry.objects.filter(item=pk).values_list("number", flat=True))
            assert numbers == list(range(1, steps + 1))


def assert_nothing_left_over() -> None:
    """No lease and no claim outlives what it was for."""
    assert not Lease.objects.exists()
    assert not ResourceClaim.objects.exists()
