"""Know what must be recorded of calls, in another way than the store: by what was written and who was the owner."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from runtime.choices import JournalState, State
from runtime.journal.entries import WHOLE_RUN, Answer, Begin, End, Place
from runtime.models import JournalEntry, WorkItem
from runtime.store.base import Store
from runtime.store.values import Claimed

Where = tuple[uuid.UUID, int, str]
"""An item, the version at which the call is made, and its key."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is recorded under a key."""

    call: uuid.UUID
    state: str = JournalState.STARTED
    attempts: int = 1
    result: Any = None


class Calls:
    """Calls that were begun, and what came of them. `begun` are those of which somebody may still tell the end."""

    def __init__(self, store: Store) -> None:
        self.begun: list[Begin] = []
        self._store = store
        self._known: dict[Where, Known] = {}

    def begin(self, claimed: Claimed, version: int, key: str, *, whole_run: bool, again: bool) -> None:
        """Begin a call as a step at that version would; `again` makes one that is in doubt anew."""
        base = WHOLE_RUN if whole_run else version
        where, known = (claimed.id, base, key), self._known.get((claimed.id, base, key))
        write = Begin(
            place=Place(item=claimed.id, base_version=base, key=key, epoch=claimed.epoch, version=version),
            call=uuid.uuid4(),
            name="bank",
            input_hash="h",
            idempotency_key=key,
            replaces=known.call if again and known else None,
        )
        [found] = self._store.journal([write])
        in_doubt = known is not None and known.state == JournalState.STARTED
        if not _owns(write.place):
            assert found.answer is Answer.FENCED
        elif known is None or known.state == JournalState.RETRY or (in_doubt and again):
            attempts = known.attempts + 1 if known else 1
            assert (found.answer, found.attempts) == (Answer.WRITTEN, attempts)
            self._known[where] = Known(write.call, attempts=attempts)
            self.begun.append(write)
        else:
            assert found.answer is Answer.RECORDED
            assert found.entry is not None
            told = json.loads(found.entry.result) if found.entry.result else None
            assert Known(found.entry.call, found.entry.state, found.entry.attempts, told) == known
        self.are_kept()

    def end(self, begun: Begin, state: str) -> None:
        """Tell the end of a call, perhaps by somebody who is not the owner any more, or for the second time."""
        where = (begun.place.item, begun.place.base_version, begun.place.key)
        known, result = self._known[where], {"by": str(begun.call)} if state == JournalState.SUCCEEDED else None
        write = End(place=begun.place, call=begun.call, state=state, result=json.dumps(result) if result else None)
        [found] = self._store.journal([write])
        latest = known.call == begun.call and known.state in (JournalState.STARTED, state)
        if _owns(begun.place) and latest:
            assert found.answer is Answer.WRITTEN
            self._known[where] = Known(known.call, state, known.attempts, result)
        else:
            assert found.answer is Answer.FENCED
        self.are_kept()

    def are_kept(self) -> None:
        """Make sure that exactly this is recorded, whatever became of the items."""
        rows = JournalEntry.objects.values_list(
            *("work_item", "base_version", "key", "call_id", "state", "attempts", "result")
        )
        assert {(item, base, key): Known(*kept) for item, base, key, *kept in rows} == self._known


def _owns(place: Place) -> bool:
    found = WorkItem.objects.get(pk=place.item)
    return (found.state, found.epoch, found.version) == (State.RUNNING, place.epoch, place.version)
