"""Say what an item that has ended needs in order to run again."""

from __future__ import annotations

from typing import Any

from runtime.choices import JournalState
from runtime.exceptions import Conflict
from runtime.journal.entries import WHOLE_RUN
from runtime.models import JournalEntry, WorkItem
from runtime.sentences import say as _


def afresh(item: WorkItem, *, max_steps: int | None = None) -> dict[str, Any]:
    """Return the changes that clear an ended item's attempts and deaths; `max_steps` is a new limit.

    Snapshots and totals stay; the store clears the clocks. Raises `Conflict` when the item has made all the steps it
    may, and would end at once, or is on legal hold: the run that goes on replaces its result and its recorded calls.
    """
    if item.legal_hold:
        raise Conflict(
            _(
                "Work item %(item)s is %(state)s and on legal hold: running it again would replace its result, its "
                "error and recorded calls. Fork it instead, or lift the hold first with `roost unhold %(item)s`.",
                item=item.pk,
                state=item.state,
            ),
            state=item.state,
        )
    allowed = item.max_steps if max_steps is None else max_steps
    if allowed is not None and item.steps_total >= allowed:
        raise Conflict(
            _(
                "Work item %(item)s is %(state)s and has made %(steps_total)s of %(allowed)s steps allowed. Redrive "
                "it with max_steps above %(steps_total)s.",
                item=item.pk,
                state=item.state,
                steps_total=item.steps_total,
                allowed=allowed,
            ),
            state=item.state,
        )
    return {"attempt": 0, "deaths": 0, "max_steps": allowed}


def failed_calls(item: WorkItem, *, using: str) -> dict[int, str]:
    """Return the recorded calls (id → key) that failed for good and would fail the item's next step at once.

    A call that was made, and whose result alone could not be kept, is not among them: it would be made a second time.
    """
    failed = JournalEntry.objects.using(using).filter(
        work_item_id=item.pk, state=JournalState.FAILED, base_version__in=(item.version, WHOLE_RUN)
    )
    found = failed.order_by("id").values_list("id", "key", "error")
    return {pk: key for pk, key, error in found if not (isinstance(error, dict) and error.get("happened"))}
