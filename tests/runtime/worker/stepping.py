"""One step of a stub engine, and what Roost makes of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import Callable
from typing import Any

from runtime.engine import Engine, Item, Snapshot
from runtime.retry import RetryPolicy
from runtime.step import StepContext
from runtime.store.values import Claimed, Outcome
from runtime.worker import execute
from runtime.worker.run import Run

WORKER = uuid.uuid4()
Step = Callable[[Snapshot, Item, StepContext], Any]


class Stub(Engine):
    """An async engine around one function."""

    retry = RetryPolicy(max_attempts=3, base=2, cap=60, jitter=0)

    def __init__(self, step: Step, first: Any = None) -> None:
        self._step = step
        self._first = {"n": 0} if first is None else first

    def init_snapshot(self, item: Item) -> Any:
        return self._first

    async def step(self, snapshot: Snapshot, item: Item, ctx: StepContext) -> Any:
        return self._step(snapshot, item, ctx)


def claimed(**changes: Any) -> Claimed:
    """Return an item as a claim gives it."""
    values: dict[str, Any] = {
        "id": uuid.uuid4(),
        "namespace": "default",
        "engine": "stub",
        "engine_version": "1",
        "payload": "{}",
        "config": None,
        "priority": 0,
        "fair_key": "",
        "pool": "default",
        "resources": "[]",
        "limited": False,
        "epoch": 1,
        "version": 0,
        "state_schema": None,
        "attempt": 0,
        "max_attempts": 3,
        "deaths": 0,
        "step_label": "",
        "steps_total": 0,
        "max_steps": None,
        "step_timeout": None,
        "timeout_left": None,
        "parent_id": None,
        "created_at": dt.datetime.now(dt.UTC),
        "deadline_at": None,
        "claimed_at": dt.datetime.now(dt.UTC),
        "data": None,
    }
    return Claimed(**{**values, **changes})


def outcome_of(step: Step, first: Any = None, **changes: Any) -> Outcome:
    """Run one step of such an item and return its outcome."""
    run = Run(claimed(**changes), Stub(step, first))
    return asyncio.run(execute.run_async(WORKER, run, "default"))


def error_of(outcome: Outcome) -> dict[str, Any]:
    """Return the error that an outcome keeps."""
    assert outcome.error is not None
    error: dict[str, Any] = json.loads(outcome.error)
    return error
