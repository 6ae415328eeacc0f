"""A journal in memory: the call semantics for as long as the process lives. For tests, and for scripts."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from typing import ClassVar

from runtime.choices import JournalState
from runtime.exceptions import Conflict
from runtime.journal import Quota
from runtime.journal.entries import Answer, Begin, Entry, Found, Place, Write, after, judge

Name = tuple[uuid.UUID, int, str]


class MemoryJournal:
    """Keeps entries in a dictionary. Safe with threads.

    Quotas of a window count the calls of all runs that are in the journal, by the clock of this machine.
    """

    blocks: ClassVar[bool] = False
    """Whether a write may take so long that an event loop should not wait for it."""

    def __init__(self) -> None:
        self._entries: dict[Name, Entry] = {}
        self._guard = threading.Lock()

    def write(self, write: Write) -> Found:
        """Write what the entry that is there allows, and say what became of it."""
        with self._guard:
            name, now = _name(write.place), time.time()
            entry = self._entries.get(name)
            spent = self._spent(write, now) if entry is None and isinstance(write, Begin) else None
            if spent is not None:
                return spent
            found = judge(write, entry)
            if found.answer is Answer.WRITTEN:
                made = after(write, entry, found, now)
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

    def _spent(self, begin: Begin, now: float) -> Found | None:
        """Return the answer to a call for which one of its quotas has no place."""
        named = [(run, one.started) for (run, _base, _key), one in self._entries.items() if one.name == begin.name]
        for quota in begin.quotas:
            counted = sorted(started for run, started in named if _counts(quota, run == begin.place.item, started, now))
            if len(counted) >= quota.most:
                return Found(answer=Answer.SPENT, quota=quota, retry_after=_until_room(quota, counted, now))
        return None

    def _keep(self, place: Place, entry: Entry | None) -> None:
        """Make the entry durable, or that it is forgotten, before anybody is told."""


def _counts(quota: Quota, own: bool, started: float, now: float) -> bool:
    return own if quota.seconds is None else started > now - quota.seconds


def _until_room(quota: Quota, counted: Sequence[float], now: float) -> float | None:
    """Return the seconds until so many of these calls, oldest first, have left the window that there is room."""
    if quota.seconds is None or quota.most == 0:
        return quota.seconds
    return quota.seconds - (now - counted[-quota.most])


def _name(place: Place) -> Name:
    return place.item, place.base_version, place.key
