"""Gather an item's events into chapters, one for each step: pure, a fold over events in their order."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runtime.choices import EventKind
from runtime.models import Event
from runtime.usage import told_in

MOST_LISTED = 20

COUNTED = {
    EventKind.LOG: "log lines",
    EventKind.REPLAYED: "calls replayed",
    EventKind.ARTIFACT: "artifacts",
    EventKind.CHILD: "children",
}
"""Kinds of which a step may leave any number: counted."""
BY_PEOPLE = frozenset(
    {
        *(EventKind.PAUSED, EventKind.RESUMED, EventKind.REQUEUED, EventKind.REDRIVEN, EventKind.CANCELLED),
        *(EventKind.PRIORITY, EventKind.RESOURCE_RELEASED, EventKind.JOURNAL_RESET, EventKind.ACKNOWLEDGED),
        *(EventKind.LEGAL_HOLD, EventKind.LEGAL_HOLD_LIFTED, EventKind.UPLOADED),
        *(EventKind.ANSWERED, EventKind.APPROVED, EventKind.REJECTED, EventKind.SIGNALLED, EventKind.EXPIRED),
    }
)
"""Kinds that come from outside the step, and are told one by one."""


@dataclass(kw_only=True, slots=True)
class Happening:
    """Something that came from outside, or a failure. `data` is the event's."""

    seq: int
    at: dt.datetime
    kind: str
    actor: str
    reason: str
    data: Any


@dataclass(kw_only=True, slots=True)
class Chapter:
    """What happened until one step was committed. `committed_at` None: not yet, or the item ended before.

    `workers` are those who had the item, in their order: more than one is a hand-over. `happenings` are the first ones
    of the chapter; `untold` counts the rest. `counts` tells how many there were of what a step makes.
    `tokens` and `cost` (in millionths of a dollar) are those of all its attempts.
    """

    step: int
    label: str = ""
    began_at: dt.datetime | None = None
    committed_at: dt.datetime | None = None
    duration: float | None = None
    failures: int = 0
    tokens: int = 0
    cost: int = 0
    workers: list[uuid.UUID] = field(default_factory=list)
    happenings: list[Happening] = field(default_factory=list)
    untold: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    first_seq: int = 0
    last_seq: int = 0

    @property
    def attempts(self) -> int:
        """How often the step was tried, as far as attempts count: failures, and the commit."""
        return self.failures + (self.committed_at is not None)

    def takes_over(self, owner: uuid.UUID | None) -> bool:
        """Say whether the item went from `owner`, who had it before the chapter, to somebody else."""
        return owner is not None and bool(self.workers) and self.workers[0] != owner

    def add(self, event: Event) -> None:
        """Take the next event into the chapter."""
        self.first_seq = self.first_seq or event.seq
        self.last_seq = event.seq
        if event.worker is not None and self.workers[-1:] != [event.worker]:
            self.workers.append(event.worker)
        if event.kind == EventKind.CLAIMED and self.began_at is None:
            self.began_at = event.created_at
        if event.duration is not None:
            self._spend(event.data)
        if event.kind == EventKind.STEP:
            self.committed_at, self.duration, self.label = event.created_at, event.duration, event.reason
        elif event.kind in COUNTED:
            self._count(COUNTED[EventKind(event.kind)])
        elif event.kind in (EventKind.RETRY, EventKind.FAILED):
            self.failures += event.duration is not None
            self._tell(event)
        elif event.kind in BY_PEOPLE or event.actor or event.kind in _TOLD:
            self._tell(event)

    def _spend(self, data: Any) -> None:
        tokens, cost = told_in(data)
        self.tokens += tokens
        self.cost += cost

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _tell(self, event: Event) -> None:
        if event.kind == EventKind.IN_DOUBT and self._doubted(event.data):
            return
        if len(self.happenings) >= MOST_LISTED:
            self.untold += 1
            return
        told = Happening(
            seq=event.seq,
            at=event.created_at,
            kind=event.kind,
            actor=event.actor,
            reason=event.reason,
            data=event.data,
        )
        self.happenings.append(told)

    def _doubted(self, data: Any) -> bool:
        """Say whether this doubt was told: the step meets it again when it runs with the answer."""
        told = (one.data for one in self.happenings if one.kind == EventKind.IN_DOUBT)
        return any(all(one.get(name) == data.get(name) for name in ("key", "attempts")) for one in told)


_TOLD = frozenset(
    {
        *(EventKind.RELEASED, EventKind.RECOVERED, EventKind.PARKED, EventKind.ASKED, EventKind.CHILD_ENDED),
        *(EventKind.CALL_FAILED, EventKind.IN_DOUBT, EventKind.DONE),
    }
)


def gather(events: Iterable[Event], *, limit: int) -> tuple[list[Chapter], int]:
    """Return up to `limit` chapters, and the number of the last event that went into them.

    What follows a commit and is no step's doing belongs to the next chapter, but the end of the item to the last.
    """
    chapters: list[Chapter] = []
    last = 0
    for event in events:
        if event.kind == EventKind.ENQUEUED:
            last = event.seq
            continue
        if not chapters or (chapters[-1].committed_at is not None and not _ends(event, chapters[-1])):
            if len(chapters) == limit:
                break
            chapters.append(Chapter(step=event.version))
        chapter = chapters[-1]
        if chapter.committed_at is None and event.kind not in COUNTED:
            chapter.step = event.version + (event.kind != EventKind.STEP)
        chapter.add(event)
        last = event.seq
    return chapters, last


def _ends(event: Event, chapter: Chapter) -> bool:
    """Say whether an event was written with the commit that ended the chapter."""
    if event.worker is None or event.kind in (EventKind.CLAIMED, EventKind.STEP, *COUNTED):
        return False
    return event.version == chapter.step and event.created_at == chapter.committed_at
