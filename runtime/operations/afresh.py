"""Say what an item that has ended needs in order to run again."""

from __future__ import annotations

from typing import Any

from runtime.exceptions import Conflict
from runtime.models import WorkItem


def afresh(item: WorkItem, *, max_steps: int | None = None) -> dict[str, Any]:
    """Return the changes that clear an ended item's attempts and deaths; `max_steps` is a new limit.

    Snapshots and totals stay; the store clears the clocks.
    Raises `Conflict` when the item has made all the steps it may: it would end at once.
    """
    allowed = item.max_steps if max_steps is None else max_steps
    if allowed is not None and item.steps_total >= allowed:
        raise Conflict(
            f"Work item {item.pk} is {item.state} and has made {item.steps_total} of {allowed} steps allowed. "
            f"Redrive it with max_steps above {item.steps_total}.",
            state=item.state,
        )
    return {"attempt": 0, "deaths": 0, "max_steps": allowed}
