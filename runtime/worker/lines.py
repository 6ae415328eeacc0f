"""Write the log's line for what a step came to: `runtime.itemlines` says which lines there are.

Called for every committed outcome, so that a line nobody wants must cost no more than a look at its level.
"""

from __future__ import annotations

import logging
from typing import Any

from runtime.choices import State
from runtime.itemlines import logger
from runtime.jsondata import loads
from runtime.store.values import Outcome
from runtime.worker.run import Run


def say(run: Run, outcome: Outcome, state: str) -> None:
    """Tell of an outcome whose commit is known, and of the state that it left the item in."""
    level = _level(outcome, state)
    if logger.isEnabledFor(level):
        _write(level, run, outcome, state)


def _level(outcome: Outcome, state: str) -> int:
    if state == State.FAILED:
        return logging.ERROR
    if outcome.error is not None:
        return logging.WARNING
    if state == State.PAUSED:
        return logging.WARNING if outcome.state == State.PAUSED else logging.INFO
    return logging.DEBUG


def _write(level: int, run: Run, outcome: Outcome, state: str) -> None:
    if state == State.FAILED and outcome.waits:
        return  # It failed by what it asked for: whoever found that out has told.
    told = _told(run, outcome, state)
    what = told["code"] or told["error_type"]
    if state == State.FAILED:
        logger.log(level, "item %s failed: %s", run.id, what or told["reason"], extra=told)
    elif outcome.error is not None and state == State.QUEUED:
        logger.log(level, "item %s is tried again in %.1f s: %s", run.id, outcome.delay, what, extra=told)
    else:
        logger.log(level, "item %s is %s at version %d", run.id, state, told["version"], extra=told)


def _told(run: Run, outcome: Outcome, state: str) -> dict[str, Any]:
    claimed, error = run.claimed, _error(outcome, state)
    # An outcome that the database refused is written as a failure, which leaves the item where it was.
    advances = outcome.advance and not (state == State.FAILED and outcome.error is None)
    told = {
        "work_item": str(outcome.item),
        "namespace": claimed.namespace,
        "engine": claimed.engine,
        "engine_version": claimed.engine_version,
        "step_label": outcome.label if advances else run.label,
        "version": outcome.version + advances,
        "attempt": outcome.attempt,
        "worker": str(outcome.worker),
        "state": str(state),
        "reason": str(outcome.reason) if state == outcome.state else "",
        "code": str(error.get("code") or ""),
        "error_type": str(error.get("type") or ""),
        "fingerprint": outcome.fingerprint,
        "duration": round(outcome.duration, 6),
    }
    return {**told, "delay": outcome.delay} if state == State.QUEUED else told


def _error(outcome: Outcome, state: str) -> dict[str, Any]:
    if outcome.error is not None:
        error: dict[str, Any] = loads(outcome.error)
        return error
    # A step that meant to go on failed because the database refused its outcome; the committer logs why.
    return {"code": "unstorable_outcome"} if state == State.FAILED else {}
