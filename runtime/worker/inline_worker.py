"""Run what is due in the caller's own thread and transaction, one item at a time: for tests, through the real store."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async

from runtime import clock, registry
from runtime.choices import Reason, State
from runtime.exceptions import RoostError
from runtime.store.base import Store
from runtime.store.overdue_waits import expire, next_timer_in
from runtime.store.values import ClaimRequest, Outcome
from runtime.worker import atomic, execute, outcomes
from runtime.worker.context import Context
from runtime.worker.inline import InlineJournal
from runtime.worker.lanes import advance as follow
from runtime.worker.options import WorkerOptions
from runtime.worker.registration import Registration
from runtime.worker.run import Run

MOST_STEPS = 10_000
MOST_WAITS = 1_000
INSTANT = 0.001


class _Context(Context):
    """Stores artifacts in the test's own thread, whose transaction nobody else may wait for."""

    __slots__ = ()

    async def aartifact(self, name: str, content: bytes | str | Any, **more: Any) -> str:
        return await sync_to_async(self.artifact)(name, content, **more)


class InlineWorker:
    """A worker of the engines named, or of all, that lives inside a call."""

    def __init__(self, store: Store, engines: Sequence[str] | None) -> None:
        self._store = store
        names = registry.names() if engines is None else list(engines)
        self._engines = {name: registry.get(name) for name in names}
        options = WorkerOptions.defaults(store.using, once=True, concurrency=1)
        self._registration = Registration(options, sorted(self._engines), store.using)
        self._journal = InlineJournal(store)
        self._steps = 0

    def run(self, max_steps: int | None, until: Callable[[], bool], skip_delays: bool) -> int:
        """Run what is due until nothing is, or enough was run; return how many steps that were. See `drain`."""
        self._registration.enter()
        try:
            with contextlib.ExitStack() as moved:
                over = self._over(max_steps, until)
                while not over():
                    run = self._claim()
                    if run is not None:
                        self._run(run, over)
                    elif not (expire(self._store.using, MOST_WAITS) or (skip_delays and self._skip(moved))):
                        break
        finally:
            self._registration.leave()
        return self._steps

    def _over(self, max_steps: int | None, until: Callable[[], bool]) -> Callable[[], bool]:
        def over() -> bool:
            if max_steps is None and self._steps >= MOST_STEPS:
                raise RoostError(
                    f"Work is still due after {MOST_STEPS} steps. Does an engine never end? Give max_steps."
                )
            return self._steps == max_steps or (self._steps > 0 and until())

        return over

    def _claim(self) -> Run | None:
        for alone in (False, True):
            for claimed in self._store.claim(self._request(alone=alone)):
                return Run(claimed, self._engines[claimed.engine], self._journal)
        return None

    def _request(self, *, alone: bool = False) -> ClaimRequest:
        return ClaimRequest(worker=self._registration.id, engines=tuple(self._engines), pools=(), limit=1, alone=alone)

    def _skip(self, moved: contextlib.ExitStack) -> bool:
        spans = [self._store.next_due_in(self._request()), next_timer_in(self._store.using)]
        known = [seconds for seconds in spans if seconds is not None]
        if not known:
            return False
        moved.enter_context(clock.shifted(dt.timedelta(seconds=max(0.0, min(known)) + INSTANT)))
        return True

    def _run(self, run: Run, over: Callable[[], bool]) -> None:
        try:
            while not run.lost:
                outcome, state = self._step(run)
                self._steps += 1
                run.lost = state != State.RUNNING
                if run.lost:
                    return
                follow(run, outcome)
                if over():
                    return
        finally:
            if not run.lost:
                self._store.release(self._registration.id, [run.held], Reason.RELEASED)

    def _step(self, run: Run) -> tuple[Outcome, str | None]:
        worker, using = self._registration.id, self._store.using
        if run.engine.is_async:
            context = _Context(run, using)
            outcome = async_to_sync(execute.run_async)(worker, run, using, context)
            outcome = execute.moved_or_failed(worker, run, using, outcome)
        else:
            try:
                return atomic.run_step(worker, run, self._store, lambda run, outcome: outcome)
            except Exception as error:  # noqa: BLE001 - whatever a step raises is its failure
                outcome = outcomes.fail(worker, run, error)
        return outcome, self._store.commit([outcome]).get(run.id)
