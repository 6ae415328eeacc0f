"""Make steps inside spans, in a process that tells OpenTelemetry of them."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from runtime import jsondata, tracing
from runtime.store.values import Outcome
from runtime.tracing import Tracing
from runtime.worker import execute
from runtime.worker.run import Run

AsyncStep = Callable[[uuid.UUID, Run, str], Awaitable[Outcome]]
Step = Callable[[uuid.UUID, Run, str], Outcome]


def async_step() -> AsyncStep:
    """Return what runs an async step in this process."""
    return execute.run_async if tracing.active is None else _run_async


def step() -> Step:
    """Return what runs an atomic step in this process."""
    return execute.run_sync if tracing.active is None else _run_sync


async def _run_async(worker: uuid.UUID, run: Run, using: str) -> Outcome:
    """Do what `execute.run_async` does, in a span."""
    if tracing.active is None:
        return await execute.run_async(worker, run, using)
    with _span(tracing.active, run) as came_to:
        outcome = await execute.run_async(worker, run, using)
        came_to(outcome)
    return outcome


def _run_sync(worker: uuid.UUID, run: Run, using: str) -> Outcome:
    """Do what `execute.run_sync` does, in a span. A step that has asked has not failed."""
    if tracing.active is None:
        return execute.run_sync(worker, run, using)
    parked: execute.Suspended | None = None
    with _span(tracing.active, run) as came_to:
        try:
            outcome = execute.run_sync(worker, run, using)
        except execute.Suspended as asked:
            parked, outcome = asked, asked.outcome
        came_to(outcome)
    if parked is not None:
        raise parked
    return outcome


@contextmanager
def _span(telling: Tracing, run: Run) -> Iterator[Callable[[Outcome], None]]:
    claimed = run.claimed
    number, attempt = run.version + 1, run.attempt + 1
    with telling.step(run.id, claimed.engine, number=number, attempt=attempt, parent=claimed.parent_id) as span:
        yield lambda outcome: telling.came_to(span, state=outcome.state, error=_error(outcome))


def _error(outcome: Outcome) -> str | None:
    if outcome.error is None:
        return None
    told: Any = jsondata.loads(outcome.error)
    return f"{told.get('type', '')}: {told.get('message', '')}" if isinstance(told, dict) else "failed"
