"""What is written into a journal, and what it answers: plain values, JSON as text."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from enum import Enum

from runtime.choices import JournalState
from runtime.journal import Quota

WHOLE_RUN = -1
"""The base version of keys that last as long as the item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an entry is, and the fence of who writes it.

    `item`, `base_version` and `key` name the entry. (`epoch`, `version`) are those of the step that makes the call: a
    store with leases writes nothing unless the item is running with them.
    """

    item: uuid.UUID
    base_version: int
    key: str
    epoch: int = 0
    version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """A call is about to be made. `call` is new for each attempt; `replaces` is that of a call in doubt, if so decided.

    Taken up when there is no entry, when the entry's call failed and is to be made again, or when it is the one that
    this replaces; any other entry decides itself. Sent twice, it counts once. Without an entry it is refused beyond
    the `quotas`.
    """

    place: Place
    call: uuid.UUID
    name: str
    input_hash: str
    idempotency_key: str
    replaces: uuid.UUID | None = None
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """How the attempt `call` ended: `state` is succeeded, failed or retry. Written only while it is the latest."""

    place: Place
    call: uuid.UUID
    state: str
    result: str | None = None
    error: str | None = None


Write = Begin | End


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is recorded under a key. `started` is when its latest attempt began: seconds since 1970, 0 if unknown."""

    state: str
    call: uuid.UUID
    attempts: int
    input_hash: str
    name: str = ""
    result: str | None = None
    error: str | None = None
    started: float = 0.0


class Answer(Enum):
    """What became of a write.

    WRITTEN it is durable; RECORDED an entry decides, and nothing was written; FENCED the step is no longer the owner
    and nothing was written; BUSY somebody holds the item just now, the write may be sent again; SPENT a quota is used
    up, and nothing was written.
    """

    WRITTEN = "written"
    RECORDED = "recorded"
    FENCED = "fenced"
    BUSY = "busy"
    SPENT = "spent"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The answer to a write. `attempts` counts the calls made when a Begin was written; `entry` comes with RECORDED.

    SPENT comes with the `quota`, and the seconds after which there is room again, if there will be (`retry_after`).
    """

    answer: Answer
    attempts: int = field(default=0)
    entry: Entry | None = None
    quota: Quota | None = None
    retry_after: float | None = None


_QUESTION = re.compile(r"journal(?:[1-9][0-9]*)?:(.+)")


def question_key(key: str, attempts: int) -> str:
    """Return the key under which a person is asked about this attempt of a call, and about no other. Pure."""
    return f"journal:{key}" if attempts == 1 else f"journal{attempts}:{key}"


def call_asked_about(question: str) -> str | None:
    """Return the key of the call that a question is about, None for one that is about no call. Pure."""
    found = _QUESTION.fullmatch(question)
    return found[1] if found else None


FENCED = Found(answer=Answer.FENCED)
BUSY = Found(answer=Answer.BUSY)
WRITTEN = Found(answer=Answer.WRITTEN)


def judge(write: Write, entry: Entry | None) -> Found:
    """Say what becomes of a write when `entry` is what is recorded: the rule that every store follows. Pure."""
    if isinstance(write, End):
        return WRITTEN if entry is not None and _may_end(write, entry) else FENCED
    if entry is None:
        return Found(answer=Answer.WRITTEN, attempts=1)
    if entry.call == write.call and entry.state == JournalState.STARTED:
        return Found(answer=Answer.WRITTEN, attempts=entry.attempts)
    if entry.input_hash == write.input_hash and _may_begin(write, entry):
        return Found(answer=Answer.WRITTEN, attempts=entry.attempts + 1)
    return Found(answer=Answer.RECORDED, entry=entry)


def _may_begin(write: Begin, entry: Entry) -> bool:
    if entry.state == JournalState.STARTED:
        return entry.call == write.replaces
    return entry.state == JournalState.RETRY


def _may_end(write: End, entry: Entry) -> bool:
    return entry.call == write.call and entry.state in (JournalState.STARTED, write.state)


def after(write: Write, entry: Entry | None, found: Found, now: float) -> Entry:
    """Return the entry that a write, judged as WRITTEN at that time, leaves behind. Pure."""
    if isinstance(write, Begin):
        return Entry(
            state=JournalState.STARTED,
            call=write.call,
            attempts=found.attempts,
            input_hash=write.input_hash,
            name=write.name,
            error=entry.error if entry else None,
            started=entry.started if entry is not None and entry.call == write.call else now,
        )
    assert entry is not None  # noqa: S101 - judge() lets no End pass without one
    return Entry(
        state=write.state,
        call=write.call,
        attempts=entry.attempts,
        input_hash=entry.input_hash,
        name=entry.name,
        result=write.result,
        error=write.error,
        started=entry.started,
    )
