"""A journal in memory: the call semantics for as long as the process lives. For tests, and for scripts."""

from __future__ import annotations

import threading
import uuid
from typing import ClassVar

from runtime.choices import JournalState
from runtime.exceptions import Conflict
from runtime.journal import Quota
from runtime.journal.entries import Answer, Begin, Entry, Found, Place, Write, after, judge

Name = tuple[uuid.UUID, int, str]


class MemoryJournal:
    """Keeps entries in a dictionary. Safe with threads. Of quotas it knows those of a run only: it keeps no times."""

    blocks: ClassVar[bool] = False
    """Whether a write may take so long that an event loop should not wait for it."""

    def __init__(self) -> None:
        self._entries: dict[Name, Entry] = {}
        self._guard = threading.Lock()

    def write(self, write: Write) -> Found:
        """Write what the entry that is there allows, and say what became of it."""
        with self._guard:
            name = _name(write.place)
            entry = self._entries.get(name)
            spent = self._spent(write) if entry is None and isinstance(write, Begin) else None
            if spent is not None:
                return Found(answer=Answer.SPENT, quota=spent)
            found = judge(write, entry)
            if found.answer is Answer.WRITTEN:
                made = after(write, entry, found)
                self._keep(write.place, made)
                self._entries[name] = made
            return found

    def entry(self, place: Place) -> Entry | None:
        """Return what is recorded there."""
        return self._entries.get(_name(place))

    def calls(self) -> dict[str, int]:
        """Return how often each key was called."""
        return {key: entry.attempts for (_item, _base, key), entry in self._entries.items()}

    def forget(self, place: Place) -> None:
        """Let a call that failed, or is in doubt, be made again. Raises `Conflict` for any other."""
        with self._guard:
            entry = self._entries.get(_name(place))
            if entry is None or entry.state not in (JournalState.FAILED, JournalState.STARTED):
                state = entry.state if entry else "not recorded"
                raise Conflict(f"The call {place.key!r} is {state}; there is nothing to reset.", state=state)
            self._keep(place, None)
            del self._entries[_name(place)]

    def _spent(self, begin: Begin) -> Quota | None:
        quotas = [quota for quota in begin.quotas if quota.seconds is None]
        if not quotas:
            return None
        made = sum(name[0] == begin.place.item and one.name == begin.name for name, one in self._entries.items())
        return next((quota for quota in quotas if made >= quota.most), None)

    def _keep(self, place: Place, entry: Entry | None) -> None:
        """Make the entry durable, or that it is forgotten, before anybody is told."""


def _name(place: Place) -> Name:
    return place.item, place.base_version, place.key
