"""What a step may wait for, and the answers it gets.

    answers = ctx.ask(Approval("refund", prompt="Refund 120 €?", data={"order": 7}), Timer("an hour", 3600), mode="any")
    if "refund" in answers and answers["refund"].approved: …

A key is unique within a step. Nothing is held while an item waits: no worker, no transaction, no claim of scope step.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

NO_DEFAULT: Any = object()
"""Stands for "no default answer": then the item fails when nobody answers in time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """Base of what can be waited for. Past `expires_in` seconds, `default` is the answer, or the item fails."""

    key: str
    expires_in: float | None = None
    default: Any = NO_DEFAULT


@dataclass(frozen=True, slots=True)
class Approval(Ask):
    """A yes or no of `quorum` different people; one no is enough for a no.

    `data` is what is to be approved, for those who look at it (JSON). `on_reject` "fail" sends the item to the dead
    letters; with "answer" the step decides. `expires_in` None takes `ROOST_WAIT_SECONDS`.
    """

    key: str
    prompt: str = ""
    data: Any = None
    quorum: int = 1
    on_reject: Literal["answer", "fail"] = "answer"


@dataclass(frozen=True, slots=True)
class Input(Ask):
    """A person's answer: any JSON, or what the JSON schema allows. `expires_in` None takes `ROOST_WAIT_SECONDS`."""

    key: str
    prompt: str = ""
    schema: Mapping[str, Any] | None = None
    data: Any = None


@dataclass(frozen=True, slots=True)
class AwaitSignal(Ask):
    """A signal sent to this item, or to the name in its namespace; `name` defaults to the key. Without `expires_in`
    it waits for ever.
    """

    key: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class AwaitChildren(Ask):
    """The end of children: those named, or all that the item has. `need` says how many have to end.

    `on_failure`: "wait" counts a failed or cancelled child as one that ended; "wake" answers as soon as one failed;
    "fail" sends the item to the dead letters then. Without `expires_in` it waits for ever.
    """

    key: str
    children: Sequence[uuid.UUID] = ()
    need: Literal["all", "any"] | int = "all"
    on_failure: Literal["wait", "wake", "fail"] = "wait"


@dataclass(frozen=True, slots=True)
class Timer(Ask):
    """A time: answered with None after `seconds`."""

    key: str
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of an ask. `expired` means that the default was taken, or that a timer ran out.

    `value` is the input, the signal's payload, the approval's True or False, or for children the list of
    {"id", "engine", "state", "result", "error"} of those that ended, in the order in which they were spawned.
    """

    key: str
    kind: str
    value: Any
    by: str = ""
    reason: str = ""
    expired: bool = False
    at: dt.datetime | None = None

    @property
    def approved(self) -> bool:
        """Whether an approval was given."""
        return self.value is True
