"""Run what is due in the caller's own thread and transaction, one item at a time: for tests, through the real store."""

from __future__ import annotations

import contextlib
import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import Error as DatabaseFailure

from runtime import clock, faults, registry
from runtime.choices import Reason, State
from runtime.engine import Engine
from runtime.exceptions import RoostError
from runtime.models import WorkItem
from runtime.queries.limits import views
from runtime.store.base import Store
from runtime.store.faulty import with_points
from runtime.store.overdue_waits import expire, next_timer_in
from runtime.store.values import Claimed, ClaimRequest, Outcome
from runtime.worker import atomic, execute, lines, outcomes
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


class _Run(Run):
    """Remembers the exception that the last step raised."""

    __slots__ = ("error",)

    def __init__(self, claimed: Claimed, engine: Engine, journal: InlineJournal) -> None:
        super().__init__(claimed, engine, journal)
        self.error: BaseException | None = None

    def failed(self, error: BaseException) -> None:
        self.error = error


class InlineWorker:
    """A worker of the engines named, or of all, that lives inside a call.

    `failures` are the items whose last step here failed, and with what: for now, or for good. More than `most_steps`
    are an error, unless `run()` was told when to end.
    """

    def __init__(self, store: Store, engines: Sequence[str] | None, most_steps: int | None = None) -> None:
        # A test may let this worker die somewhere: the points are in a copy of the store, and in the journal itself.
        self._store = with_points(copy(store)) if faults.armed() else store
        names = registry.names() if engines is None else list(engines)
        self._engines = {name: registry.get(name) for name in names}
        options = WorkerOptions.defaults(store.using, once=True, concurrency=1)
        self._registration = Registration(options, sorted(self._engines), store.using)
        self._journal = InlineJournal(store)
        self._most = MOST_STEPS if most_steps is None else most_steps
        self._steps = 0
        self._asked = clock.now(store.using)
        self._again = False
        self.failures: dict[uuid.UUID, Exception] = {}

    def run(self, max_steps: int | None, until: Callable[[], bool], skip_delays: bool) -> int:
        """Run what is due until nothing is, or enough was run; return how many steps that were. See `drain`."""
        self._registration.enter()
        with _leaving(self._registration.leave), contextlib.ExitStack() as moved:
            over = self._over(max_steps, until)
            while not over():
                run = self._claim()
                if run is not None:
                    with _leaving(partial(self._let_go, run)):
                        self._run(run, over)
                elif not (expire(self._store.using, MOST_WAITS) or (skip_delays and self._skip(moved))):
                    break
        return self._steps

    def _over(self, max_steps: int | None, until: Callable[[], bool]) -> Callable[[], bool]:
        def over() -> bool:
            if max_steps is None and self._steps >= self._most:
                raise RoostError(
                    f"Work is still due after {self._most} steps. Does an engine never end? Give max_steps."
                )
            return self._steps == max_steps or (self._steps > 0 and until())

        return over

    def _claim(self) -> _Run | None:
        self._asked = clock.now(self._store.using)
        for alone in (False, True):
            for claimed in self._store.claim(self._request(alone=alone)):
                self._again = False
                return _Run(claimed, self._engines[claimed.engine], self._journal)
        return None

    def _request(self, *, alone: bool = False) -> ClaimRequest:
        return ClaimRequest(worker=self._registration.id, engines=tuple(self._engines), pools=(), limit=1, alone=alone)

    def _skip(self, moved: contextlib.ExitStack) -> bool:
        """Move the clock to what is next; False when nothing is, or no time brings it."""
        due = self._store.next_due_in(self._request())
        spans = self._behind_limits() if due == 0 else [due]
        known = [seconds for seconds in (*spans, next_timer_in(self._store.using)) if seconds is not None]
        if not known:
            # What was held back a moment ago may be free by now: a rate fills while one looks.
            again, self._again = self._again, True
            return due == 0 and not again
        moved.enter_context(clock.shifted(dt.timedelta(seconds=max(0.0, min(known)) + INSTANT)))
        return True

    def _behind_limits(self) -> list[float]:
        """Return the seconds until rates allow another step, and until what is due after that which limits hold back.

        What became due since the last claim asked is not held back: it was not due then. A cap that has no place is
        left out: nobody else is here who could make one.
        """
        using = self._store.using
        spent = [view for view in views(using=using) if view.tokens is not None and view.tokens < 1]
        rates = [(1 - (view.tokens or 0)) * view.limit.per_seconds / (view.limit.rate or 1) for view in spent]
        queued = WorkItem.objects.using(using).filter(state=State.QUEUED, engine__in=self._engines)
        later = queued.filter(run_at__gt=self._asked).order_by("run_at")
        first = later.values_list("run_at", flat=True).first()
        return rates if first is None else [*rates, (first - clock.now(using)).total_seconds()]

    def _run(self, run: _Run, over: Callable[[], bool]) -> None:
        while not run.lost:
            run.error = None
            outcome, state = self._step(run)
            self._steps += 1
            self._remember(run, outcome, state)
            if state is not None:
                lines.say(run, outcome, state)
            run.lost = state != State.RUNNING
            if state is None:
                # It was taken away; what it used is free now that its step has ended.
                self._store.acknowledge(self._registration.id, [run.held])
            if run.lost:
                return
            follow(run, outcome)
            if over():
                return

    def _let_go(self, run: _Run) -> None:
        if not run.lost:
            self._store.release(self._registration.id, [run.held], Reason.RELEASED)

    def _remember(self, run: _Run, outcome: Outcome, state: str | None) -> None:
        """Note what the step failed with, or that the item's next step did not."""
        error = run.error
        if error is None and state != State.FAILED:
            self.failures.pop(run.id, None)
            return
        told = f"Work item {run.id} of {run.claimed.engine}, attempt {outcome.attempt}, is {state or 'gone'} now."
        if isinstance(error, Exception):
            error.add_note(told)
            self.failures[run.id] = error
        else:
            self.failures[run.id] = RoostError(f"{told} {error!r}" if error else f"{told} {outcome.error}")

    def _step(self, run: _Run) -> tuple[Outcome, str | None]:
        worker, using = self._registration.id, self._store.using
        if run.engine.is_async:
            context = _Context(run, using)
            outcome = async_to_sync(execute.run_async)(worker, run, using, context)
            outcome = execute.moved_or_failed(worker, run, using, outcome)
        else:
            try:
                return atomic.run_step(worker, run, self._store, _shape)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a step raises is its failure
                outcome = outcomes.fail(worker, run, error)
        return outcome, self._store.commit([_shape(run, outcome)]).get(run.id)


@contextlib.contextmanager
def _leaving(leave: Callable[[], object]) -> Iterator[None]:
    """Leave when the block is over. Of a block that failed its own error is told, also where leaving fails then."""
    try:
        yield
    except BaseException as error:
        try:
            leave()
        except DatabaseFailure as another:
            error.add_note(f"Leaving failed too: {another}")
        raise
    leave()


def _shape(run: Run, outcome: Outcome) -> Outcome:
    """Return the outcome to write: a rate counts steps where they are claimed, so an item under one is given back."""
    return outcomes.leave(outcome) if run.claimed.rated else outcome
