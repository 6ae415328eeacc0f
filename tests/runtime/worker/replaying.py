"""Runs that are replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runtime.exceptions import Declined
from runtime.models import Artifact, Event, JournalEntry, Snapshot, Wait, WorkItem
from runtime.testing import drain
from runtime.worker.replay.dry import Replay, replay
from tests.ledger.models import Entry
from tests.runtime.worker.calling import Calling, put, read

LANES = ("async", "atomic")
STORED = (WorkItem, Snapshot, Event, JournalEntry, Wait, Artifact, Entry)


def again(item: WorkItem, **options: Any) -> Replay:
    """Replay the run, and see to it that nothing was called and nothing stored."""
    called = list(Calling.called)
    before = [list(model.objects.order_by("pk").values()) for model in STORED]  # type: ignore[attr-defined]
    found = replay(read(item), **options)
    assert [list(model.objects.order_by("pk").values()) for model in STORED] == before  # type: ignore[attr-defined]
    assert Calling.called == called
    return found


def ran(lane: str, does: Callable[..., Any], **payload: Any) -> WorkItem:
    """Enqueue an item whose steps do this, and run it."""
    item = put(lane, does, **payload)
    drain(skip_delays=True)
    return read(item)


def in_lane(lane: str, *calls: tuple[Any, ...], **options: Any) -> Callable[..., Any]:
    """Return a step that makes these recorded calls, and is done with the last one's result."""

    async def waits(ctx: Any) -> Any:
        return [await ctx.run(*call, **options) for call in calls][-1]

    return waits if lane == "async" else lambda ctx: [ctx.run(*call, **options) for call in calls][-1]


def fails(ctx: Any) -> None:
    raise Declined("no")
