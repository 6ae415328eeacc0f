"""Run one step of one item and say what it came to.

Neither lane writes anything here: the outcome goes to the committer (async lane) or into the step's own transaction
(`atomic.py`).
"""

from __future__ import annotations

import asyncio
import inspect
import time
import uuid
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError

from runtime import compatibility
from runtime.conf import settings as roost
from runtime.engine import Snapshot
from runtime.exceptions import RoostError, StepTimeout, UnstorableOutcome
from runtime.jsondata import dumps, loads
from runtime.offload import refuse_reference
from runtime.step import Suspend, _current
from runtime.store import offloading
from runtime.store.values import Outcome
from runtime.worker import outcomes
from runtime.worker.context import Context
from runtime.worker.run import Run


def time_limit(run: Run) -> float | None:
    """Return the seconds one step of this item may run: the item's own limit, its engine's, or the setting's."""
    for limit in (run.claimed.step_timeout, run.engine.step_timeout):
        if limit is not None:
            return limit
    setting: float | None = roost.STEP_TIMEOUT
    return setting


class Suspended(Exception):
    """An atomic step has asked for something: what it wrote is rolled back, and `outcome` parks its item."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"The step of item {outcome.item} waits.")
        self.outcome = outcome


async def run_async(worker: uuid.UUID, run: Run, using: str, context: Context | None = None) -> Outcome:
    """Run one step of an async engine; return its outcome, whatever it raised. `context` stands in for the usual one.

    Raises `asyncio.CancelledError` only when the step was cancelled from outside (lease lost, worker stopping); one
    that the step brought upon itself, as by awaiting a task that was cancelled, is its failure.
    """
    run.started = time.monotonic()
    run.begin()
    if (over := run.over) is not None:
        return outcomes.too_late(worker, run, over)
    context = context or Context(run, using)
    token = _current.set(context)
    limit = time_limit(run)
    try:
        try:
            async with asyncio.timeout(limit):
                snapshot, decision = await _decide(run, context)
        finally:
            await _calls_end(run, limit)
        return outcomes.settle(worker, run, context, decision, snapshot)
    except Suspend as pause:
        return _parked(worker, run, context, pause)
    except BaseExceptionGroup as group:
        together = _asked_together(group)
        return outcomes.fail(worker, run, group) if together is None else _parked(worker, run, context, together)
    except TimeoutError as error:
        if limit is not None and time.monotonic() - run.started >= limit:
            return outcomes.fail(worker, run, timed_out(limit))
        return outcomes.fail(worker, run, error)
    except asyncio.CancelledError as error:
        if run.lost:
            raise
        return outcomes.fail(worker, run, error)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a step raises is its failure, not the worker's
        return outcomes.fail(worker, run, error)
    finally:
        _current.reset(token)
        context.leave()


def move(using: str, outcome: Outcome) -> Outcome:
    """Return the outcome as it is to be committed, its large values put into the artifact storage.

    Raises `StorageUnavailable`: then the step has failed, and runs again.
    """
    return offloading.move_outcome(using, outcome) if offloading.is_wanted(outcome) else outcome


def moved_or_failed(worker: uuid.UUID, run: Run, using: str, outcome: Outcome) -> Outcome:
    """Do what `move()` does, and return what the step comes to when the storage does not take a value."""
    try:
        return move(using, outcome)
    except (RoostError, DatabaseError) as error:
        return outcomes.fail(worker, run, error)


async def amoved_or_failed(worker: uuid.UUID, run: Run, using: str, outcome: Outcome) -> Outcome:
    """Do what `moved_or_failed()` does in a thread, within what is left of the step's time."""
    if not offloading.is_wanted(outcome):
        return outcome
    limit = time_limit(run)
    left = None if limit is None else max(0.0, run.started + limit - time.monotonic())
    try:
        async with asyncio.timeout(left):
            return await asyncio.to_thread(moved_or_failed, worker, run, using, outcome)
    except TimeoutError:
        return outcomes.fail(worker, run, timed_out(limit or 0.0))


async def _decide(run: Run, context: Context) -> tuple[Snapshot, Any]:
    compatibility.require(run.engine, run.item.engine_version, run.schema)
    if run.moved:
        await asyncio.to_thread(run.fetch)
    if run.data is None:
        first = run.engine.init_snapshot(run.item)
        accept_first(run, await first if inspect.isawaitable(first) else first)
    snapshot = read(run)
    returned = call(run, snapshot, context)
    return snapshot, await returned if inspect.isawaitable(returned) else returned


async def _calls_end(run: Run, limit: float | None) -> None:
    """Wait for recorded calls that the step left behind, as `gather` does when one of several fails.

    Once the outcome is written, how they end could not be recorded any more, and they would be in doubt.
    """
    if run.in_flight and not run.lost:
        left = None if limit is None else max(0.0, limit - (time.monotonic() - run.started))
        await asyncio.wait(run.in_flight, timeout=left)


def _asked_together(group: BaseExceptionGroup[Any]) -> Suspend | None:
    """Return one pause for all that the tasks of a group have asked for; None when one of them has failed."""
    asked, rest = group.split(Suspend)
    others = None if rest is None else rest.split(asyncio.CancelledError)[1]
    if asked is None or others is not None:
        return None
    pauses = list(_leaves(asked))
    asks = {ask.key: ask for pause in pauses for ask in pause.asks}
    return Suspend(list(asks.values()), pauses[0].mode)


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[Suspend]:
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one


def _parked(worker: uuid.UUID, run: Run, context: Context, pause: Suspend) -> Outcome:
    try:
        return outcomes.suspend(worker, run, context, pause)
    except RoostError as error:
        return outcomes.fail(worker, run, error)


def run_sync(worker: uuid.UUID, run: Run, using: str, context: Context | None = None) -> Outcome:
    """Run one step of a sync engine and return its outcome. Raises what the step raises, and `Suspended`.

    `context` stands in for the usual one.
    """
    run.begin()
    if (over := run.over) is not None:
        return outcomes.too_late(worker, run, over)
    context = context or Context(run, using)
    token = _current.set(context)
    try:
        compatibility.require(run.engine, run.item.engine_version, run.schema)
        if run.moved:
            run.fetch()
        if run.data is None:
            accept_first(run, run.engine.init_snapshot(run.item))
        snapshot = read(run)
        decision = call(run, snapshot, context)
        return outcomes.settle(worker, run, context, decision, snapshot)
    except Suspend as pause:
        raise Suspended(outcomes.suspend(worker, run, context, pause)) from None
    finally:
        _current.reset(token)
        context.leave()


def accept_first(run: Run, first: Any) -> None:
    """Take what `init_snapshot` returned as version 0. Raises `UnstorableOutcome`."""
    data = first.data if isinstance(first, Snapshot) else first
    try:
        run.data = dumps(data, what="first state", max_bytes=roost.MAX_STATE_BYTES)
        refuse_reference(run.data, "first state")
    except ValueError as error:
        raise UnstorableOutcome(f"init_snapshot's {error}") from error
    run.initial = run.data


def read(run: Run) -> Snapshot:
    """Return the snapshot that the next step starts from: a fresh copy, so that no step shares its objects.

    A state of an older shape is upcast. From here on that is the run's state, so that it is done once.
    """
    assert run.data is not None  # noqa: S101 - accept_first() came before
    data = loads(run.data)
    if run.schema != run.engine.state_schema:
        data = run.engine.upcast(data, run.schema)
        run.schema = run.engine.state_schema
    if run.version == run.claimed.version and run.initial is None:
        run.data = dumps(data, what="snapshot")  # as we write it, to compare with after the step
    return Snapshot(data=data, version=run.version, label=run.item.step_label)


def call(run: Run, snapshot: Snapshot, context: Context) -> Any:
    """Call the engine's step with as many arguments as it takes."""
    if run.wants_context:
        return run.engine.step(snapshot, run.item, context)
    return run.engine.step(snapshot, run.item)


def timed_out(limit: float) -> StepTimeout:
    """Return the error of a step that ran longer than `limit` seconds."""
    return StepTimeout(f"The step ran longer than its time limit of {limit:g} s.")
