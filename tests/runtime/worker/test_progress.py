"""How far a step is: told by its worker's heartbeats, while it runs and no longer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from runtime.models import Lease, WorkItem
from runtime.operations.enqueue import enqueue
from runtime.queries.progress import Progress, progress_of
from runtime.step import StepContext
from tests.factories import WorkItemFactory, now
from tests.runtime.worker.calling import STEPS, read, work

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("calling")]


def test_a_step_that_runs_is_seen_and_the_next_one_says_so_anew(settings: Any) -> None:
    settings.ROOST_HEARTBEAT_SECONDS = 0.05
    seen: list[Progress | None] = []

    def looked() -> tuple[Any, Progress | None]:
        try:
            item = WorkItem.objects.get()
            return Lease.objects.get(pk=item.pk).progress, progress_of(item)
        finally:
            connection.close()  # the thread's own, which nobody else ends

    async def tells(ctx: StepContext) -> Any:
        if not seen:
            ctx.progress(0.42, "reading")
        for _ in range(400):
            told, found = await sync_to_async(looked)()
            if told:
                break
            await asyncio.sleep(0.02)
        seen.append(found)

    STEPS["it"] = tells
    item = enqueue("async", {"does": "it", "steps": 2})
    work()
    assert read(item).state == "done"
    assert seen == [Progress(fraction=0.42, note="reading"), None]


@pytest.mark.parametrize(
    ("told", "text"),
    [
        ({"fraction": 0.424, "note": "", "step": 3}, "42 %"),
        ({"fraction": 1, "note": "nearly", "step": 3}, "100 % · nearly"),
        ({"fraction": 0, "note": "", "step": 3}, "0 %"),
        ({"fraction": None, "note": "reading", "step": 3}, "reading"),
        ({"fraction": None, "note": "", "step": 3}, None),
        ({"fraction": 0.4, "note": "", "step": 2}, None),
        ({"fraction": 0.4, "note": ""}, None),
        (None, None),
    ],
)
def test_what_another_step_had_said_is_not_told(told: Any, text: str | None) -> None:
    item = WorkItemFactory(running=True, version=2, lease_row__progress=told)
    found = progress_of(item)
    assert (found and found.text) == text


def test_an_item_that_was_taken_away_or_rests_tells_none() -> None:
    told = {"fraction": 0.4, "note": "", "step": 1}
    item = WorkItemFactory(running=True, lease_row__progress=told)
    assert progress_of(item) is not None
    Lease.objects.filter(pk=item.pk).update(revoked_at=now())
    assert progress_of(item) is None
    Lease.objects.filter(pk=item.pk).update(revoked_at=None, epoch=item.epoch + 1)
    assert progress_of(item) is None
    assert progress_of(WorkItemFactory()) is None
