"""Read the calls that an item's steps recorded."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Case, CharField, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Concat

from runtime.choices import TERMINAL, JournalState, State, WaitState
from runtime.exceptions import InvalidInput
from runtime.journal.entries import WHOLE_RUN, question_key
from runtime.models import JournalEntry, Wait, WorkItem
from runtime.queries.page import Page, checked_limit, page_of
from runtime.queries.weight import fitting
from runtime.store import work_database
from runtime.store.waits import UNCONSUMED


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordedCall:
    """An entry of the journal. `in_doubt`: it was cut off, and nobody knows whether it happened."""

    entry: JournalEntry
    in_doubt: bool


def page(
    item: WorkItem, *, after: int = 0, limit: int = 50, state: str = "", using: str | None = None
) -> Page[RecordedCall]:
    """Return a page of the item's calls, oldest first; the next page starts `after` the id of the last row's entry.

    `state` narrows to calls in that state. A page of large results is shorter. Raises `InvalidInput`.
    """
    found = _of(item.pk, using)
    if state:
        if state not in JournalState.values:
            raise InvalidInput(
                f"There is no such state of a call: {state!r}. States: {', '.join(JournalState.values)}.", field="state"
            )
        found = found.filter(state=state)
    found = found.filter(pk__gt=after).order_by("id")
    limit = fitting(found, "result", "error", most=checked_limit(limit))
    return page_of((recorded(entry, item) for entry in found[: limit + 1]), limit)


def recorded(entry: JournalEntry, item: WorkItem) -> RecordedCall:
    """Return an entry of the item with whether it is in doubt. Reads nothing."""
    return RecordedCall(entry=entry, in_doubt=_in_doubt(entry, item))


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


def resettable(items: Iterable[uuid.UUID], *, using: str | None = None) -> QuerySet[JournalEntry]:
    """Return the calls that these items' next steps would find and that may be forgotten.

    Those failed for good, or were cut off and no person is asked about them. While an item runs, or is on legal hold,
    it forgets none of them.
    """
    using = using or work_database()
    attempt = Case(When(attempts=1, then=Value("")), default=Cast("attempts", CharField()))
    asked = Wait.objects.using(using).filter(
        UNCONSUMED,
        work_item_id=OuterRef("work_item_id"),
        base_version=OuterRef("work_item__version"),
        key=OuterRef("question"),
    )
    found: QuerySet[JournalEntry] = JournalEntry.objects.using(using).filter(
        Q(base_version=F("work_item__version")) | Q(base_version=WHOLE_RUN),
        work_item_id__in=list(items),
        state__in=(JournalState.FAILED, JournalState.STARTED),
    )
    found = found.alias(question=Concat(Value("journal"), attempt, Value(":"), "key"))
    decided_here = Q(state=JournalState.FAILED) | Q(work_item__state__in=sorted(TERMINAL)) | ~Exists(asked)
    return found.filter(decided_here)


def may_be_reset(entry: JournalEntry, item: WorkItem) -> bool:
    """Say whether the call may be forgotten, unless a person is asked about it. Reads nothing."""
    still = item.state != State.RUNNING and not item.legal_hold
    next_finds = entry.base_version in (item.version, WHOLE_RUN)
    return still and next_finds and entry.state in (JournalState.FAILED, JournalState.STARTED)


def _in_doubt(entry: JournalEntry, item: WorkItem) -> bool:
    being_made = item.state == State.RUNNING and entry.epoch == item.epoch
    return entry.state == JournalState.STARTED and not being_made


def _of(item: uuid.UUID, using: str | None) -> QuerySet[JournalEntry]:
    return JournalEntry.objects.using(using or work_database()).filter(work_item_id=item)
