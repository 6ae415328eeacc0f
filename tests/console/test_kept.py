"""Pruned histories and values beside the rows, in the admin."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from runtime import faults
from runtime.models import Blob, DoneRequest, EventHorizon, Offloaded, PrunedHistory
from runtime.store.horizon import delete_events
from tests.console.test_lists import address
from tests.factories import EventFactory

pytestmark = pytest.mark.django_db


def test_what_was_removed_and_what_was_moved_away_can_be_looked_at(boss: Client) -> None:
    item, moment = EventFactory().work_item, timezone.now()
    blob = Blob.objects.create(sha256="a" * 64, size=1, path="aa/aa", touched_at=moment)
    with faults.around("prune"):
        assert delete_events("default", [item.pk])
    rows = [
        PrunedHistory.objects.create(work_item=item, pruned_at=moment),
        Offloaded.objects.create(work_item=item, place="state", version=1, blob=blob),
        EventHorizon.objects.get(),
        DoneRequest.objects.create(key="b" * 64, asked="c" * 64, done_at=moment),
    ]
    for row in rows:
        assert boss.get(address(type(row))).status_code == 200
        assert boss.get(address(type(row), "change", row.pk)).status_code == 200
