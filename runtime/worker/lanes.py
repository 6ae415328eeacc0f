"""Where steps run: many async steps at once on one event loop, a few atomic steps each in a thread of its own.

Both lanes hand what they finished to the drain's inbox and hold no opinion on what comes next.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from django.db import DatabaseError, connections

from runtime.conf import settings as roost
from runtime.store.base import Store
from runtime.store.values import Outcome
from runtime.worker import atomic, execute, lines, outcomes, traced
from runtime.worker.run import Run

logger = logging.getLogger("roost.worker")

SPARE_THREADS = 8
_STAY_SECONDS = 0.2
_CONNECT_SECONDS = 0.5
"""Between two tries to get a database session for a step."""
_IDLE_SECONDS = 1.0
"""After so long without a step a thread looks whether its session is still there."""
_LAST_WORDS_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Finished:
    """A step of the async lane ended; its outcome, if it has one, is still to be committed."""

    run: Run
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Settled:
    """A step of the atomic lane ended: committed, and the item left in `state`; or fenced off (None).

    `doubt` is the loss of the database session that leaves open whether the outcome was committed, or the item is still
    held.
    """

    run: Run
    outcome: Outcome | None
    state: str | None
    doubt: Exception | None = None


Post = Callable[[object], None]


class AsyncLane:
    """One event loop in a thread of its own."""

    def __init__(self, worker: uuid.UUID, using: str, post: Post) -> None:
        self._worker = worker
        self._using = using
        self._post = post
        self._loop = asyncio.new_event_loop()
        self._ending = False
        self._step = traced.async_step()
        self._thread = threading.Thread(target=self._serve, name="roost-async", daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    def submit(self, runs: Sequence[Run]) -> None:
        """Start the next step of each run."""
        self._loop.call_soon_threadsafe(self._begin, runs)

    def cancel(self, run: Run) -> None:
        """Cancel the run's step; it is reported as finished without an outcome."""
        self._loop.call_soon_threadsafe(self._cancel, run)

    def stop(self) -> None:
        """End the loop, once nothing is left on it that matters."""
        self._ending = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=1.0)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        # A thread for each item in flight: a sync callee that hangs must not keep the others' calls from being made.
        threads = roost.WORKER_CONCURRENCY + SPARE_THREADS
        self._loop.set_default_executor(ThreadPoolExecutor(threads, thread_name_prefix="roost-call"))
        try:
            while not self._ending:
                self._turn()
            self._close()
        finally:
            connections.close_all()

    def _close(self) -> None:
        """Close the loop, unless a task outlives its cancellation: then it ends with the process."""
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            _done, left = self._loop.run_until_complete(asyncio.wait(left, timeout=_LAST_WORDS_SECONDS))
        if not left:
            self._loop.close()

    def _turn(self) -> None:
        """Run the loop until it is stopped, or until a task that a step has started tries to end the process."""
        try:
            self._loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            logger.exception("a task of a step tried to end the process; its loop goes on")

    def _begin(self, runs: Sequence[Run]) -> None:
        for run in runs:
            run.task = self._loop.create_task(self._run(run))

    def _cancel(self, run: Run) -> None:
        # A task cancelled before it began would never run, and so never report; it finds out by itself that it is lost.
        if run.task is not None and run.started:
            run.task.cancel()

    async def _run(self, run: Run) -> None:
        outcome: Outcome | None = None
        try:
            if not run.lost:
                made = await self._step(self._worker, run, self._using)
                outcome = await execute.amoved_or_failed(self._worker, run, self._using, made)
        except asyncio.CancelledError:
            logger.debug("step of %s cancelled", run.id)
        except BaseException as error:  # noqa: BLE001 - a step that tries to end the process has failed
            outcome = outcomes.fail(self._worker, run, error)
        finally:
            run.task = None
            run.started = 0.0
            self._post(Finished(run, outcome))


class AtomicLane:
    """Threads that run atomic steps, each on a database connection of its own."""

    def __init__(
        self, worker: uuid.UUID, store: Store, post: Post, threads: int, shape: Callable[[Run, Outcome], Outcome]
    ) -> None:
        self._worker = worker
        self._store = store
        self._post = post
        self._shape = shape
        self._queue: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"roost-atomic-{number}", daemon=True)
            for number in range(threads)
        ]
        self._started = False
        self._ending = threading.Event()
        self.on_connect: Callable[[], None] | None = None

    @property
    def waiting(self) -> int:
        """How many runs no thread has begun with."""
        return self._queue.qsize()

    def submit(self, runs: Sequence[Run]) -> None:
        """Queue the runs; the threads start with the first."""
        if not self._started:
            self._started = True
            for thread in self._threads:
                thread.start()
        for run in runs:
            self._queue.put(run)

    def stop(self) -> None:
        """Let idle threads end; one that is inside a step ends with the process."""
        self._ending.set()
        for _thread in self._threads if self._started else ():
            self._queue.put(None)

    def _serve(self) -> None:
        idle_since = time.monotonic()
        while (run := self._queue.get()) is not None:
            self._await_session(run, anew=time.monotonic() - idle_since > _IDLE_SECONDS)
            self._prepare()
            message = self._run(run)
            run.started = 0.0
            self._post(message)
            idle_since = time.monotonic()
        connections.close_all()

    def _await_session(self, run: Run, *, anew: bool) -> None:
        """Wait until this thread has a database session: a step that was not begun for want of one has not failed.

        With `anew` the session is looked at first: it may have ended since the last step.
        """
        connection = connections[self._store.using]
        while not (run.lost or self._ending.is_set()):
            try:
                if anew and connection.connection is not None and not connection.is_usable():
                    connection.close()
                connection.ensure_connection()
            except DatabaseError as error:
                logger.warning("the step of item %s waits for a database session: %s", run.id, error)
                connection.close()
                self._ending.wait(_CONNECT_SECONDS)
            else:
                return

    def _prepare(self) -> None:
        """Have this thread's database session registered, which may be a new one since the last step."""
        try:
            if self.on_connect is not None:
                self.on_connect()
        except DatabaseError:
            logger.info("this thread's database session could not be registered", exc_info=True)
            connections[self._store.using].close()
        except Exception:
            # Whatever it is, it must not end the thread: its item would be held for ever, by a worker that beats.
            logger.exception("this thread's database session could not be registered")

    def _run(self, run: Run) -> Settled | Finished:
        """Make steps of one item until it leaves this process, has children to tell of, or kept the thread for long."""
        until = time.monotonic() + _STAY_SECONDS
        while True:
            if run.lost:
                return Settled(run, None, None)
            try:
                outcome, state = atomic.run_step(self._worker, run, self._store, self._shape)
            except atomic.InDoubt as error:
                connections[self._store.using].close()
                return Settled(run, error.outcome, None, doubt=error)
            except atomic.SessionLost as error:
                connections[self._store.using].close()
                return Settled(run, outcomes.fail(self._worker, run, error), None, doubt=error)
            except BaseException as error:  # noqa: BLE001 - whatever a step raises is its failure, not this thread's
                if isinstance(error, DatabaseError):
                    connections[self._store.using].close_if_unusable_or_obsolete()
                return Finished(run, outcomes.fail(self._worker, run, error))
            if state != "running" or outcome.children or time.monotonic() > until:
                return Settled(run, outcome, state)
            lines.say(run, outcome, state)
            advance(run, outcome)


def advance(run: Run, outcome: Outcome) -> None:
    """Bring the run up to date with its committed outcome, so that the next step may start."""
    run.initial = None
    run.forget_usage()
    run.losses = 0
    if outcome.advance:
        run.version += 1
        run.label = outcome.label
        run.steps_total += 1
        run.data = outcome.data if outcome.whole is None else outcome.whole
        run.forget_answers()
    run.attempt = outcome.attempt
    run.progress = None
