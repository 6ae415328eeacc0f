"""Turn what a step returned or raised into an `Outcome` that the store can write. Pure: no database, no clock.

Every outcome is checked here, before it joins others in one transaction: its type, its JSON, its size. A step that
breaks the contract fails for good with a named error instead of harming its neighbours.
"""

from __future__ import annotations

import hashlib
import math
import time
import traceback
import uuid
from dataclasses import replace
from typing import Any

from runtime.choices import EventKind, Reason, State
from runtime.compatibility import Incompatible
from runtime.conf import settings as roost
from runtime.engine import Complete, Continue, Fail, Snapshot, Wait
from runtime.exceptions import (
    InvalidInput,
    NotJSON,
    PermanentError,
    RetryableError,
    SnapshotMutated,
    StepError,
    UnstorableOutcome,
    WrongOutcome,
)
from runtime.jsondata import dumps
from runtime.retry import RetryPolicy
from runtime.store.values import NewEvent, Outcome
from runtime.worker.context import Context
from runtime.worker.run import Run

MAX_TRACEBACK = 20_000
MAX_MESSAGE = 4_000
MAX_LABEL = 200
LONGEST_DELAY = 10 * 365 * 86_400.0


def settle(worker: uuid.UUID, run: Run, context: Context, decision: Any, snapshot: Snapshot | None) -> Outcome:
    """Return the outcome of a step that returned `decision`.

    Raises `WrongOutcome`, `UnstorableOutcome` or `SnapshotMutated` (all permanent) when the step broke its contract.
    """
    if snapshot is not None and dumps(snapshot.data, what="snapshot") != run.data:
        raise SnapshotMutated("The step changed the snapshot it was given. Return a new state instead.")
    kind = type(decision)
    if kind is Snapshot:
        decision = (
            Complete(decision.result, decision.data, decision.label)
            if decision.finished
            else Continue(decision.data, decision.delay, decision.label)
        )
        kind = type(decision)
    if kind is Continue:
        outcome = _continue(worker, run, decision)
    elif kind is Complete:
        outcome = _complete(worker, run, decision)
    elif kind is Wait:
        outcome = _wait(worker, run, decision)
    elif kind is Fail:
        raise PermanentError(str(decision.message), code=decision.code, details=dict(decision.details))
    else:
        raise WrongOutcome(
            f"The step returned {'nothing (None)' if decision is None else f'a {kind.__name__}'}. "
            f"Return Continue, Complete, Wait, Fail or snapshot.next(…)."
        )
    return _with_staged(run, context, outcome)


def _continue(worker: uuid.UUID, run: Run, decision: Continue) -> Outcome:
    delay = _delay(decision.delay)
    duration = time.monotonic() - run.started
    outcome = _outcome(
        worker,
        run,
        state=State.QUEUED if delay else State.RUNNING,
        reason=Reason.DELAY if delay else "",
        advance=True,
        data=_encode(decision.state, "state", roost.MAX_STATE_BYTES),
        label=_label(decision.label),
        delay=delay,
        duration=duration,
        events=(_step_event(decision.label, delay, duration),),
    )
    limit = run.claimed.max_steps
    if limit is not None and run.steps_total + 1 >= limit:
        return _out_of_steps(outcome, limit)
    return outcome


def _step_event(label: str, delay: float, duration: float) -> NewEvent:
    return NewEvent(
        kind=EventKind.STEP,
        reason=_label(label),
        data=dumps({"delay": delay}) if delay else None,
        duration=duration,
    )


def _out_of_steps(outcome: Outcome, limit: int) -> Outcome:
    message = f"The item has made {limit} steps, which is all it may make (max_steps)."
    return _ended(outcome, "MaxSteps", Reason.MAX_STEPS, message)


def overdue(outcome: Outcome) -> Outcome:
    """Return the outcome of an item whose deadline passed while its step ran: it goes on no more; what was made stays.

    An outcome that ends the item anyway is left as it is.
    """
    if outcome.state not in (State.RUNNING, State.QUEUED):
        return outcome
    return _ended(outcome, "Deadline", Reason.DEADLINE, "The item's deadline passed while its step ran.")


def _ended(outcome: Outcome, kind: str, reason: Reason, message: str) -> Outcome:
    error = dumps({"type": kind, "code": reason.value, "message": message})
    return replace(
        outcome,
        state=State.FAILED,
        reason=reason,
        delay=0.0,
        error=error,
        fingerprint=reason.value,
        events=(*outcome.events, NewEvent(kind=EventKind.FAILED, reason=reason, data=error)),
    )


def _complete(worker: uuid.UUID, run: Run, decision: Complete) -> Outcome:
    duration = time.monotonic() - run.started
    data = run.data if decision.keeps_state else _encode(decision.state, "state", roost.MAX_STATE_BYTES)
    return _outcome(
        worker,
        run,
        state=State.DONE,
        advance=True,
        data=data,
        label=_label(decision.label),
        result=_encode(decision.result, "result", roost.MAX_RESULT_BYTES),
        duration=duration,
        events=(_step_event(decision.label, 0.0, duration), NewEvent(kind=EventKind.DONE)),
    )


def _wait(worker: uuid.UUID, run: Run, decision: Wait) -> Outcome:
    delay = _delay(decision.seconds)
    duration = time.monotonic() - run.started
    return _outcome(
        worker,
        run,
        state=State.QUEUED,
        reason=Reason.DELAY,
        delay=delay,
        duration=duration,
        events=(NewEvent(kind=EventKind.WAITED, data=dumps({"delay": delay}), duration=duration),),
    )


def leave(outcome: Outcome) -> Outcome:
    """Return the outcome of an item that would go on at once, made to go back to the queue instead."""
    if outcome.state != State.RUNNING:
        return outcome
    return replace(outcome, state=State.QUEUED, reason=Reason.CONTINUE)


def fail(worker: uuid.UUID, run: Run, error: BaseException) -> Outcome:
    """Return the outcome of a step that raised: a retry with backoff, or the dead letters. Never raises."""
    if isinstance(error, Incompatible):
        return _hold(worker, run, error)
    policy = run.engine.retry or RetryPolicy.default()
    attempt = run.attempt + 1
    permanent = isinstance(error, PermanentError | InvalidInput)
    text, fingerprint = describe(run, error, attempt)
    duration = time.monotonic() - run.started if run.started else 0.0
    if permanent or attempt >= run.claimed.max_attempts:
        reason = Reason.PERMANENT_ERROR if permanent else Reason.ATTEMPTS_EXHAUSTED
        return _outcome(
            worker,
            run,
            state=State.FAILED,
            reason=reason,
            error=text,
            fingerprint=fingerprint,
            attempt=attempt,
            duration=duration,
            events=(NewEvent(kind=EventKind.FAILED, reason=reason, data=text, duration=duration),),
        )
    asked = error.retry_after if isinstance(error, RetryableError) else None
    delay = policy.delay(attempt) if asked is None else min(max(asked, 0.0), LONGEST_DELAY)
    return _outcome(
        worker,
        run,
        state=State.QUEUED,
        reason=Reason.RETRY,
        error=text,
        fingerprint=fingerprint,
        attempt=attempt,
        delay=delay,
        duration=duration,
        events=(NewEvent(kind=EventKind.RETRY, reason=Reason.RETRY, data=text, duration=duration),),
    )


def _hold(worker: uuid.UUID, run: Run, error: Incompatible) -> Outcome:
    """Return the outcome of an item that this code must not touch: paused, at no cost, until other code takes it up."""
    told = NewEvent(kind=EventKind.HELD, reason=Reason.HELD, data=dumps({"code": error.code, "message": str(error)}))
    return _outcome(worker, run, state=State.PAUSED, reason=Reason.HELD, attempt=run.attempt, events=(told,))


def describe(run: Run, error: BaseException, attempt: int) -> tuple[str, str]:
    """Return an error as JSON text for the item, and its fingerprint: the same for errors of one cause.

    The fingerprint covers engine, exception type, code and the innermost frame, not the message, which often
    carries ids and times.
    """
    name = type(error).__qualname__
    code = error.code if isinstance(error, StepError) else ""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].name}" if frames else ""
    fingerprint = hashlib.sha256(f"{run.claimed.engine}|{name}|{code}|{place}".encode()).hexdigest()[:16]
    lines = "".join(traceback.format_exception(error))
    details: Any = error.details if isinstance(error, StepError) else {}
    entry = {
        "type": name,
        "code": clean(code),
        "message": clean(_text(error))[:MAX_MESSAGE],
        "traceback": clean(lines)[-MAX_TRACEBACK:],
        "attempt": attempt,
        "version": run.version,
    }
    try:
        return dumps({**entry, "details": details}), fingerprint
    except NotJSON:
        return dumps({**entry, "details": {"unstorable": clean(repr(details))[:MAX_MESSAGE]}}), fingerprint


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a broken __str__ must not hide the failure it stands for
        return f"<{type(error).__name__} whose text cannot be read>"


def clean(text: str) -> str:
    """Return text that every database stores: without NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _outcome(worker: uuid.UUID, run: Run, **values: Any) -> Outcome:
    claimed = run.claimed
    return Outcome(
        worker=worker,
        item=claimed.id,
        epoch=claimed.epoch,
        version=run.version,
        limited=claimed.limited,
        has_parent=claimed.parent_id is not None,
        initial=run.initial,
        state_schema=run.engine.state_schema,
        **values,
    )


def _with_staged(run: Run, context: Context, outcome: Outcome) -> Outcome:
    artifacts, logs, children = context.staged_artifacts, context.staged_events, context.staged_children
    if not (artifacts or logs or children):
        return outcome
    told = [
        *logs,
        *(
            NewEvent(
                kind=EventKind.ARTIFACT,
                data=dumps({"name": one.name, "sha256": one.sha256, "size": one.size, "kind": one.kind}),
            )
            for one in artifacts
        ),
        *(NewEvent(kind=EventKind.CHILD, data=dumps({"child": str(one.id), "engine": one.engine})) for one in children),
    ]
    return replace(outcome, artifacts=artifacts, children=children, events=(*told, *outcome.events))


def _encode(value: Any, what: str, limit: int) -> str:
    try:
        return dumps(value, what=what, max_bytes=limit)
    except NotJSON as error:
        raise UnstorableOutcome(f"The step's {error}") from error


def _delay(seconds: Any) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0:
        raise WrongOutcome(f"The step asked for a delay of {seconds!r}; it must be a number of seconds, 0 or more.")
    return min(float(seconds), LONGEST_DELAY)


def _label(label: Any) -> str:
    if not isinstance(label, str):
        raise WrongOutcome(f"The step's label is a {type(label).__name__}; it must be text.")
    return clean(label)[:MAX_LABEL] if label else ""
