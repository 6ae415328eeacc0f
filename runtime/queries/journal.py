"""Read the calls that an item's steps recorded."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from runtime.choices import JournalState, State, WaitState
from runtime.exceptions import InvalidInput
from runtime.journal.entries import WHOLE_RUN, question_key
from runtime.models import JournalEntry, Wait, WorkItem
from runtime.queries.page import Page, checked_limit, page_of
from runtime.store import work_database


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedCall:
    """An entry of the journal. `in_doubt`: it was cut off, and nobody knows whether it happened."""

    entry: JournalEntry
    in_doubt: bool


def page(
    item: WorkItem, *, after: int = 0, limit: int = 50, state: str = "", using: str | None = None
) -> Page[RecordedCall]:
    """Return a page of the item's calls, oldest first; the next page starts `after` the id of the last row's entry.

    `state` narrows to calls in that state. Results are not read; see `entry.result`. Raises `InvalidInput`.
    """
    found = _of(item.pk, using)
    if state:
        if state not in JournalState.values:
            raise InvalidInput(
                f"There is no such state of a call: {state!r}. States: {', '.join(JournalState.values)}.", field="state"
            )
        found = found.filter(state=state)
    rows = found.filter(pk__gt=after).order_by("id")[: checked_limit(limit) + 1]
    return page_of((RecordedCall(entry=entry, in_doubt=_in_doubt(entry, item)) for entry in rows), limit)


def in_doubt(item: WorkItem, *, limit: int = 20, using: str | None = None) -> list[JournalEntry]:
    """Return the calls in doubt that the item's next step would find, oldest first."""
    started = Q(state=JournalState.STARTED, base_version__in=(item.version, WHOLE_RUN))
    if item.state == State.RUNNING:
        started &= Q(epoch__lt=item.epoch)
    return list(_of(item.pk, using).filter(started).order_by("id")[:limit])


def asked_about(item: WorkItem, calls: Sequence[JournalEntry], *, using: str | None = None) -> dict[int, str]:
    """Return the open questions about these calls: the entry's id, and the question's key."""
    questions = {question_key(call.key, call.attempts): call.pk for call in calls}
    if not questions:
        return {}
    waits = Wait.objects.using(using or work_database()).filter(work_item_id=item.pk, state=WaitState.OPEN)
    rows = waits.filter(base_version=item.version, key__in=questions).values_list("key", flat=True)
    return {questions[key]: key for key in rows}


def _in_doubt(entry: JournalEntry, item: WorkItem) -> bool:
    being_made = item.state == State.RUNNING and entry.epoch == item.epoch
    return entry.state == JournalState.STARTED and not being_made


def _of(item: uuid.UUID, using: str | None) -> QuerySet[JournalEntry]:
    return JournalEntry.objects.using(using or work_database()).filter(work_item_id=item)
