"""Turn what a step returned or raised into an `Outcome` that the store can write. Pure: no database, no clock.

Every outcome is checked here, before it joins others in one transaction: its type, its JSON, its size. A step that
breaks the contract fails for good with a named error instead of harming its neighbours.
"""

from __future__ import annotations

import math
import time
import uuid
from dataclasses import replace
from typing import Any

from runtime.choices import EventKind, Reason, State
from runtime.compatibility import Incompatible
from runtime.conf import settings as roost
from runtime.engine import Complete, Continue, Fail, Snapshot, Wait, WaitFor
from runtime.errors import classify
from runtime.exceptions import (
    NotJSON,
    PermanentError,
    RetryableError,
    SnapshotMutated,
    UnstorableOutcome,
    WrongOutcome,
)
from runtime.jsondata import clean, dumps
from runtime.offload import refuse_reference
from runtime.retry import RetryPolicy
from runtime.step import Suspend
from runtime.store.values import NewEvent, NewWait, Outcome
from runtime.worker.asking import new_waits
from runtime.worker.context import Context
from runtime.worker.description import describe
from runtime.worker.run import Run
from runtime.worker.spending import counted

MAX_LABEL = 200
MOST_TOLD = 20
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
    elif kind is WaitFor:
        outcome = _wait_for(worker, run, decision)
    elif kind is Fail:
        raise PermanentError(str(decision.message), code=decision.code, details=decision.details)
    else:
        raise WrongOutcome(
            f"The step returned {'nothing (None)' if decision is None else f'a {kind.__name__}'}. "
            f"Return Continue, Complete, Wait, WaitFor, Fail or snapshot.next(…)."
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


def too_late(worker: uuid.UUID, run: Run, reason: Reason) -> Outcome:
    """Return the outcome of an item whose time was over before its step began: it fails, and the step is not made."""
    nothing = _outcome(worker, run, state=State.FAILED, reason=reason, attempt=run.attempt)
    what = "deadline passed" if reason is Reason.DEADLINE else "time was up"
    return _ended(nothing, reason.name.title(), reason, f"The item's {what} before its next step began.")


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


def _wait_for(worker: uuid.UUID, run: Run, decision: WaitFor) -> Outcome:
    waits = new_waits(decision.asks, decision.mode)
    if decision.keeps_state:
        return _parked(worker, run, waits)
    duration = time.monotonic() - run.started
    outcome = _outcome(
        worker,
        run,
        state=State.WAITING,
        reason=waits[0].kind,
        advance=True,
        data=_encode(decision.state, "state", roost.MAX_STATE_BYTES),
        label=_label(decision.label),
        duration=duration,
        waits=waits,
        events=(_step_event(decision.label, 0.0, duration), _asked_event(waits)),
    )
    limit = run.claimed.max_steps
    if limit is not None and run.steps_total + 1 >= limit:
        return _out_of_steps(replace(outcome, waits=(), events=outcome.events[:1]), limit)
    return outcome


def suspend(worker: uuid.UUID, run: Run, context: Context, pause: Suspend) -> Outcome:
    """Return the outcome of a step that asked for what is not there yet: the item waits, and the step runs again.

    Costs no attempt. Raises `InvalidInput` for what cannot be asked.
    """
    return _with_staged(run, context, _parked(worker, run, new_waits(pause.asks, pause.mode)))


def _parked(worker: uuid.UUID, run: Run, waits: tuple[NewWait, ...]) -> Outcome:
    duration = time.monotonic() - run.started
    return _outcome(
        worker,
        run,
        state=State.WAITING,
        reason=waits[0].kind,
        attempt=run.attempt,
        duration=duration,
        waits=waits,
        events=(_asked_event(waits, duration),),
    )


def _asked_event(waits: tuple[NewWait, ...], duration: float | None = None) -> NewEvent:
    told = [{"key": wait.key, "kind": wait.kind} for wait in waits[:MOST_TOLD]]
    data = dumps({"asks": told, "count": len(waits), "mode": waits[0].needed})
    return NewEvent(kind=EventKind.ASKED, reason=waits[0].kind, data=data, duration=duration)


def leave(outcome: Outcome) -> Outcome:
    """Return the outcome of an item that would go on at once, made to go back to the queue instead."""
    if outcome.state != State.RUNNING:
        return outcome
    return replace(outcome, state=State.QUEUED, reason=Reason.CONTINUE)


def fail(worker: uuid.UUID, run: Run, error: BaseException) -> Outcome:
    """Return the outcome of a step that raised: a retry with backoff, or the dead letters. Never raises."""
    run.failed(error)
    if isinstance(error, Incompatible):
        return _hold(worker, run, error)
    verdict = classify(error)
    policy, most = _policy(run, error)
    attempt = run.attempt + 1
    retried = policy.retries(verdict)
    text, fingerprint = describe(run, error, attempt, verdict)
    duration = time.monotonic() - run.started if run.started else 0.0
    if not retried or attempt >= most:
        reason = Reason.ATTEMPTS_EXHAUSTED if retried else Reason.PERMANENT_ERROR
        return _outcome(
            worker,
            run,
            state=State.FAILED,
            reason=reason,
            error=text,
            fingerprint=fingerprint,
            attempt=attempt,
            duration=duration,
            events=(*_calls(run), NewEvent(kind=EventKind.FAILED, reason=reason, data=text, duration=duration)),
        )
    asked = verdict.retry_after
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
        events=(*_calls(run), NewEvent(kind=EventKind.RETRY, reason=Reason.RETRY, data=text, duration=duration)),
    )


def _policy(run: Run, error: BaseException) -> tuple[RetryPolicy, int]:
    """Return the policy for an error, and how many attempts it allows: the error's own, or the engine's."""
    own = error.policy if isinstance(error, RetryableError) else None
    if isinstance(own, RetryPolicy):
        return own, own.max_attempts
    return run.engine.retry or RetryPolicy.default(), run.claimed.max_attempts


def _hold(worker: uuid.UUID, run: Run, error: Incompatible) -> Outcome:
    """Return the outcome of an item that this code must not touch: paused, at no cost, until other code takes it up."""
    told = NewEvent(kind=EventKind.HELD, reason=Reason.HELD, data=dumps({"code": error.code, "message": str(error)}))
    return _outcome(worker, run, state=State.PAUSED, reason=Reason.HELD, attempt=run.attempt, events=(told,))


def _outcome(worker: uuid.UUID, run: Run, **values: Any) -> Outcome:
    claimed = run.claimed
    drops = bool(values.get("advance")) and run.keeping.drops(run.version)
    outcome = Outcome(
        worker=worker,
        item=claimed.id,
        epoch=claimed.epoch,
        version=run.version,
        limited=claimed.limited,
        has_parent=claimed.parent_id is not None,
        asked=run.asked,
        answers=tuple(run.told.answers) if run.asked else (),
        # A first state that goes with the commit of the next one need not be written.
        initial=None if drops else run.initial,
        drops=drops,
        state_schema=run.engine.state_schema,
        **values,
    )
    return counted(run, outcome)


def _with_staged(run: Run, context: Context, outcome: Outcome) -> Outcome:
    artifacts, logs, children = context.staged_artifacts, context.staged_events, context.staged_children
    if not (artifacts or logs or children or run.calls):
        return outcome
    told = [
        *_calls(run),
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


def _calls(run: Run) -> tuple[NewEvent, ...]:
    """Return what is told of the step's recorded calls, which stay recorded whatever the step comes to."""
    return () if run.calls is None else run.calls.events()


def _encode(value: Any, what: str, limit: int) -> str:
    try:
        text = dumps(value, what=what, max_bytes=limit)
        refuse_reference(text, what)
        return text
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
