"""Have a recorded call forgotten, so that it is made again."""

from __future__ import annotations

import uuid
from typing import Unpack

from runtime.choices import TERMINAL, EventKind, JournalState, State
from runtime.exceptions import Conflict, NotFound
from runtime.journal.call import MAX_KEY
from runtime.journal.entries import WHOLE_RUN, question_key
from runtime.models import JournalEntry, Wait, WorkItem
from runtime.operations import fields
from runtime.operations.base import ItemOperation, MoveOptions
from runtime.sentences import say as _
from runtime.store.values import Move
from runtime.store.waits import UNCONSUMED


class ResetCall(ItemOperation):
    """Forget the call that the item recorded under `key`: one that failed for good, or is in doubt.

    The step that runs next makes it again, under the same idempotency key. The item stays as it is: bring it back with
    redrive if it failed. A call in doubt may have happened, so find that out first. One about which the item asks a
    person is not forgotten: the answer decides.
    """

    verb = _("reset a call")
    participle = _("made to forget a call")
    permission = "reset_journal"

    def __init__(self, item: uuid.UUID | str, key: str, **options: Unpack[MoveOptions]) -> None:
        super().__init__(item, **options)
        self.key = fields.text(key, "key", limit=MAX_KEY)

    def decide(self, item: WorkItem) -> Move:
        """Raise `NotFound` for an unknown key, `Conflict` while the item runs, on legal hold and for a call to keep."""
        self.require_still(item)
        entry = self._entry(item)
        if entry.state == JournalState.SUCCEEDED:
            raise Conflict(
                _(
                    "The call %(key)r of work item %(item)s succeeded; it is kept, and not made again.",
                    key=self.key,
                    item=item.pk,
                ),
                state=item.state,
            )
        if entry.state == JournalState.RETRY:
            raise Conflict(
                _(
                    "The call %(key)r of work item %(item)s failed in a way that may pass: the next run of the step "
                    "makes it again.",
                    key=self.key,
                    item=item.pk,
                ),
                state=item.state,
            )
        self._require_not_asked(item, entry)
        told = {"key": self.key, "name": entry.name, "was": entry.state, "attempts": entry.attempts}
        return Move(kind=EventKind.JOURNAL_RESET, forget=(entry.pk,), data=told)

    def require_still(self, item: WorkItem) -> None:
        """Raise `Conflict` while the item runs and on legal hold: then it forgets no call. Reads nothing."""
        if item.state == State.RUNNING:
            raise self.conflict(item, _("Its step may be making this call now. Cancel, pause or requeue it first."))
        if item.legal_hold:
            raise self.conflict(
                item,
                _(
                    "It is on legal hold, with its recorded calls. `roost unhold %(item)s` lifts it first.",
                    item=item.pk,
                ),
            )

    def _require_not_asked(self, item: WorkItem, entry: JournalEntry) -> None:
        """Raise `Conflict` while a person's answer decides about the call: of two who decide, one would be ignored."""
        if item.state in TERMINAL or entry.state != JournalState.STARTED:
            return
        question = question_key(entry.key, entry.attempts)
        waits = Wait.objects.using(self.store.using).filter(UNCONSUMED, work_item_id=item.pk, base_version=item.version)
        if waits.filter(key=question).exists():
            raise self.conflict(
                item,
                _("A person says whether the call happened: the answer to %(question)r decides.", question=question),
            )

    def _entry(self, item: WorkItem) -> JournalEntry:
        """Return the entry that the item's next step would find. Those of earlier steps decide nothing any more."""
        found = JournalEntry.objects.using(self.store.using).filter(
            work_item_id=item.pk, key=self.key, base_version__in=(item.version, WHOLE_RUN)
        )
        entry = found.order_by("-base_version").first()
        if entry is None:
            raise NotFound(
                _(
                    "The step that work item %(item)s is at (from version %(version)s) has no recorded call "
                    "%(key)r. `roost journal list %(item)s` shows those there are.",
                    item=item.pk,
                    version=item.version,
                    key=self.key,
                )
            )
        return entry


def reset_call(item: uuid.UUID | str, key: str, **options: Unpack[MoveOptions]) -> WorkItem:
    """Have the call forgotten and return the item; see `ResetCall`. Raises `Conflict`, `NotFound`, `Forbidden`."""
    return ResetCall(item, key, **options).execute()
