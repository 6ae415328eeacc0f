"""What happens around a recorded call, in which order: a generator that asks for every effect and has none itself.

It yields what it wants done, a `Begin` or `End` to be written, an `Invoke`, a `Pause`, a `Tell` or a question to a
person, and is sent the answer, or has the error thrown in. `drive` carries it out. An exception that is no `Exception`
(a cancelled step, one that is parked, the end of the process) goes through it and leaves the entry as it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from runtime import jsondata
from runtime.asks import Answer as Reply
from runtime.asks import Input
from runtime.choices import EventKind, JournalState
from runtime.conf import settings as roost
from runtime.errors import Verdict, classify
from runtime.exceptions import (
    CallFailed,
    CallInDoubt,
    CallTimeout,
    Cancelled,
    Fenced,
    JournalMismatch,
    JournalRefused,
    NotJSON,
    QuotaExceeded,
    RetryableError,
    StepError,
    UnstorableOutcome,
)
from runtime.journal import Quota
from runtime.journal.call import Call
from runtime.journal.entries import Answer, Begin, Entry, Found, Write, question_key

MAX_MESSAGE = 2_000
MAX_DETAILS = 8_000


@dataclass(frozen=True, slots=True)
class Invoke:
    """Make the call; the answer is what it returns."""

    call: Call
    attempt: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Tell:
    """Keep an event in the history."""

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """Ask a person; the answer is theirs, when it has come."""

    ask: Input


Request = Begin | Write | Invoke | Pause | Tell | Question
Flow = Generator[Request, Any, Any]


@dataclass(frozen=True, slots=True)
class _Value:
    """The call has ended well."""

    value: Any


@dataclass(frozen=True, slots=True)
class _Again:
    """Make the call again, in the place of one in doubt if there is such a one."""

    replaces: uuid.UUID | None = None


_Next = Generator[Request, Any, "_Value | _Again"]


def conduct(call: Call) -> Flow:
    """See a call through: replay it, or make it as often as its policy allows; return its result.

    Raises `JournalMismatch`, `CallFailed`, `CallInDoubt`, `UnstorableOutcome` (all permanent), `QuotaExceeded`,
    `RetryableError`, `Fenced`, and what the effects raise.
    """
    tries, replaces = 0, None
    while True:
        begin = call.begin(replaces)
        found = yield from _written(begin)
        if found.quota is not None:
            raise _quota_exceeded(call, found.quota, found.retry_after)
        if found.entry is None:
            tries += 1
            after = yield from _attempt(call, begin, found.attempts, tries)
        else:
            after = yield from _recorded(call, found.entry)
        if isinstance(after, _Value):
            return after.value
        replaces = after.replaces


def _written(write: Write) -> Generator[Request, Any, Found]:
    found: Found = yield write
    if found.answer is Answer.FENCED:
        place = write.place
        raise Fenced(f"Item {place.item} was taken away: what it does under the key {place.key!r} is not recorded.")
    return found


def _recorded(call: Call, entry: Entry) -> _Next:
    """Let the entry decide."""
    if entry.input_hash != call.input_hash:
        raise JournalMismatch(
            f"The key {call.key!r} is recorded with another input. Give each call of a step a key of its own, and one "
            f"that depends on the input where the input may change.",
            details={"key": call.key, "state": entry.state},
        )
    if entry.state == JournalState.SUCCEEDED:
        yield Tell(EventKind.REPLAYED, {"key": call.key})
        return _Value(jsondata.loads(entry.result or "null"))
    if entry.state == JournalState.FAILED:
        raise _call_failed(call, jsondata.loads(entry.error or "{}"))
    yield Tell(EventKind.IN_DOUBT, {"key": call.key, "attempts": entry.attempts})
    return (yield from _out_of_doubt(call, entry.call, entry.attempts))


def _out_of_doubt(call: Call, attempt: uuid.UUID, attempts: int) -> _Next:
    """Decide about a call that may have happened."""
    if call.policy.in_doubt == "retry":
        return _Again(attempt)
    if call.policy.in_doubt == "fail":
        raise CallInDoubt(
            f"Nobody knows whether the call {call.key!r} happened: it was cut off. Find out at {call.name}; then "
            f"`roost journal reset` lets it be made again.",
            details={"key": call.key, "attempts": attempts, "idempotency_key": call.idempotency_key},
        )
    reply: Reply = yield Question(_question(call, attempts))
    said = reply.value if isinstance(reply.value, dict) else {}
    if not said.get("happened"):
        return _Again(attempt)
    value = said.get("result")
    yield from _written(call.end(attempt, JournalState.SUCCEEDED, result=jsondata.dumps(value, what="answer")))
    return _Value(value)


def _question(call: Call, attempts: int) -> Input:
    return Input(
        question_key(call.key, attempts),
        prompt=f"Did the call {call.key!r} ({call.name}) happen? It was cut off. If so, what was its result?",
        schema={
            "type": "object",
            "properties": {"happened": {"type": "boolean"}, "result": {}},
            "required": ["happened"],
        },
        data={"key": call.key, "name": call.name, "attempts": attempts, "idempotency_key": call.idempotency_key},
    )


def _attempt(call: Call, begin: Begin, attempts: int, tries: int) -> _Next:
    """Make the call once."""
    try:
        value = yield Invoke(call, attempts)
    except (Cancelled, Fenced):
        raise
    except CallTimeout as error:
        yield Tell(EventKind.IN_DOUBT, {"key": call.key, "attempts": attempts, "message": str(error)})
        if call.policy.in_doubt == "retry":
            if tries >= call.policy.max_attempts:
                raise
            yield Pause(call.policy.delay(tries))
        return (yield from _out_of_doubt(call, begin.call, attempts))
    except Exception as error:  # noqa: BLE001 - whatever a callee raises is recorded
        return (yield from _failed(call, begin, error, attempts, tries))
    return (yield from _succeeded(call, begin, value))


def _succeeded(call: Call, begin: Begin, value: Any) -> _Next:
    try:
        text = jsondata.dumps(value, what=f"result of call {call.key!r}", max_bytes=roost.MAX_RESULT_BYTES)
        yield from _written(call.end(begin.call, JournalState.SUCCEEDED, result=text))
    except (NotJSON, JournalRefused) as error:
        message = f"The call {call.key!r} was made, but its result cannot be kept: {error}"
        told = {"type": "UnstorableOutcome", "code": UnstorableOutcome.code, "message": jsondata.clean(message)}
        text = jsondata.dumps({**told, "happened": True})
        yield from _written(call.end(begin.call, JournalState.FAILED, error=text))
        yield Tell(EventKind.CALL_FAILED, {"key": call.key, **told})
        raise UnstorableOutcome(message, details={"key": call.key}) from error
    # As a replay will see it: tuples are lists by then.
    return _Value(jsondata.loads(text))


def _failed(call: Call, begin: Begin, error: Exception, attempts: int, tries: int) -> _Next:
    """Record the failure of an attempt, and decide between another one, the step's own policy and the end."""
    policy, verdict = call.policy, classify(error)
    entry = describe(error, verdict, attempts)
    told = {"key": call.key, "attempt": attempts, "code": entry["code"], "message": entry["message"][:500]}
    text = jsondata.dumps(entry)
    exhausted = tries >= policy.max_attempts
    if not verdict.retryable or (exhausted and policy.sticky == "any"):
        yield from _written(call.end(begin.call, JournalState.FAILED, error=text))
        yield Tell(EventKind.CALL_FAILED, told)
        raise _call_failed(call, entry) from error
    asked = verdict.retry_after
    yield from _written(call.end(begin.call, JournalState.RETRY, error=text))
    if exhausted or (asked is not None and asked > policy.cap):
        yield Tell(EventKind.CALL_RETRY, told)
        message = f"The call {call.key!r} failed: {entry['message']}"
        raise RetryableError(message, retry_after=asked, code=entry["code"], details={"key": call.key}) from error
    wait = policy.delay(tries) if asked is None else asked
    yield Tell(EventKind.CALL_RETRY, {**told, "delay": round(wait, 3)})
    yield Pause(wait)
    return _Again()


def _quota_exceeded(call: Call, quota: Quota, retry_after: float | None) -> QuotaExceeded:
    within = "in the whole run" if quota.seconds is None else f"in {quota.seconds:g} s"
    return QuotaExceeded(
        f"{call.name} may be called {quota.most} times {within}, and was: the call {call.key!r} was not made.",
        details={"key": call.key, "most": quota.most, "seconds": quota.seconds, "retry_after": retry_after},
    )


def _call_failed(call: Call, entry: Mapping[str, Any]) -> CallFailed:
    return CallFailed(
        f"The call {call.key!r} failed for good: {entry.get('message', '')}",
        code=str(entry.get("code") or CallFailed.code),
        details={"key": call.key, "error": dict(entry)},
    )


def describe(error: Exception, verdict: Verdict, attempt: int) -> dict[str, Any]:
    """Return what is kept of a callee's error: JSON without anything that a database would refuse."""
    code = verdict.code or (error.code if isinstance(error, StepError) else "")
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the failure it stands for
        message = "its text cannot be read"
    told = {
        "type": type(error).__qualname__,
        "code": jsondata.clean(str(code)),
        "category": str(verdict.category),
        "message": jsondata.clean(message)[:MAX_MESSAGE],
        "attempt": attempt,
    }
    return told | _details(error)


def _details(error: Exception) -> dict[str, Any]:
    """Return what a step's error says besides, if it can be kept."""
    details = error.details if isinstance(error, StepError) else {}
    try:
        jsondata.dumps(details, what="details", max_bytes=MAX_DETAILS)
    except NotJSON:
        return {}
    return {"details": details} if details else {}
