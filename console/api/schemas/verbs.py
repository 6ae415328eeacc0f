"""What is said with a verb: why, and what it takes."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from console.api.schemas.kinds import Asked, Flag, Seconds, Whole, example
from runtime.operations.base import MAX_REASON

Reason = Annotated[str, Field(max_length=MAX_REASON)]
RequiredReason = Annotated[str, Field(min_length=1, max_length=MAX_REASON, pattern=r"\S")]


class Reasoned(Asked):
    """Why; kept in the item's history with the name of who asks."""

    reason: Reason = ""


class Explained(Reasoned):
    """Why, which has to be said."""

    reason: RequiredReason


class RedriveIn(Reasoned):
    """From which of its states, and how many steps it may make."""

    from_version: Whole | None = None
    max_steps: Whole | None = None


class PauseIn(Reasoned):
    """Whether the running step is thrown away; else it ends first."""

    now: Flag = False


class ResumeIn(Reasoned):
    """After how many more steps it pauses again."""

    steps: Whole | None = None


class ForkIn(Reasoned):
    """From which of its states, and what is changed; what is left out is taken over."""

    version: Whole | None = None
    state: Any = None
    payload: Any = None
    engine_version: str | None = None
    idempotency_key: str | None = None
    delay: Seconds = 0.0


class FollowUpIn(Reasoned):
    """What the next step finds as the answer "follow_up"."""

    input: Any = None
    max_steps: Whole | None = None


class PriorityIn(Reasoned):
    """Higher is sooner."""

    priority: Whole


class ReleaseIn(Reasoned):
    """The key of the resource whose claim is ended; else it is the lease."""

    resource: str | None = None


class ResetIn(Reasoned):
    """The key of the recorded call that is forgotten."""

    key: str


class VoteIn(Reasoned):
    """Which approval is meant, where several are open."""

    key: str | None = None


class AnswerIn(Reasoned):
    """The answer, and which input is meant, where several are open."""

    value: Any = None
    key: str | None = None


class SignalIn(Asked):
    """A signal; a second one with the same delivery_id is the first."""

    model_config = example(name="paid", payload={"order": 7})

    name: str
    payload: Any = None
    delivery_id: str | None = Field(None, description="The same as the header Idempotency-Key.")


class NamedSignalIn(SignalIn):
    """A signal to whoever waits for its name."""

    namespace: str | None = None


class SignalSent(Schema):
    """The signal that is kept."""

    id: uuid.UUID


class Letters(Reasoned):
    """Which dead letters: `ids`, or a filter of which one part at least is said."""

    ids: list[uuid.UUID] = Field([], max_length=500)
    namespace: str = ""
    engine: str = ""
    fingerprint: str = ""
    category: str = ""
    failed_because: str = ""


class ExplainedLetters(Letters):
    """Which dead letters, and why, which has to be said."""

    reason: RequiredReason


class Refused(Schema):
    """An item that was left as it is, and why."""

    id: uuid.UUID
    code: str
    detail: str


class Treated(Schema):
    """What became of each; `more` says that there are others that match: ask again."""

    moved: list[uuid.UUID]
    refused: list[Refused]
    more: bool
