"""Everything that works beside the pump in a worker process: lanes, journal, heartbeat, sweep, the wake-up link."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import psycopg
from django.db import DatabaseError, connections

from runtime import registry, wake
from runtime.choices import WorkerState
from runtime.conf import settings as roost
from runtime.engine import Engine
from runtime.exceptions import EngineLoadError, RoostError
from runtime.store.transactions import not_migrated
from runtime.worker.housekeeping import Housekeeping
from runtime.worker.journal import JournalWriter
from runtime.worker.lanes import AsyncLane, AtomicLane
from runtime.worker.registration import Link, Registration
from runtime.worker.run import Run
from runtime.worker.sweeper import Sweeper

if TYPE_CHECKING:
    from runtime.worker.drain import Drain

logger = logging.getLogger("roost.worker")
RETRY_SECONDS = 1.0


def load_engines(names: Sequence[str] | None) -> dict[str, Engine]:
    """Return the engines this worker offers. One that cannot be loaded is left out and named, unless asked for by name.

    Raises `UnknownEngine` or `EngineLoadError` for a named engine, `RoostError` when none is left.
    """
    found: dict[str, Engine] = {}
    for name in registry.names() if names is None else names:
        try:
            found[name] = registry.get(name)
        except EngineLoadError:
            if names is not None:
                raise
            logger.exception("engine %s is not offered by this worker", name)
    if not found:
        raise RoostError("This worker has no engine to run. Set ROOST_ENGINES, or install a package with engines.")
    return found


class Crew:
    """Starts and ends the helpers of one drain."""

    def __init__(self, drain: Drain) -> None:
        self._drain = drain
        using = drain.store.using
        self._using = using
        self._postgres = connections[using].vendor == "postgresql"
        self.registration = Registration(drain.options, sorted(drain.engines), using)
        worker = self.registration.id
        self.journal = JournalWriter(drain.store, lambda: drain.stopping)
        self.async_lane = AsyncLane(worker, using, drain.post)
        threads = roost.ATOMIC_CONCURRENCY if self._postgres else 1
        self.atomic_lane = AtomicLane(worker, drain.store, drain.post, threads, drain.shape)
        self.atomic_lane.on_connect = self.registration.add_session
        self.housekeeping = Housekeeping(drain, worker)
        self.sweeper = Sweeper(drain, worker)
        self.link = Link(worker, using, self._hear)

    @property
    def draining(self) -> bool:
        """Whether an operator wants this worker to take no new work."""
        return self.housekeeping.desired_state == WorkerState.DRAINING

    @property
    def waiting(self) -> int:
        """How many items wait for a thread of the atomic lane."""
        return self.atomic_lane.waiting

    def open(self) -> bool:
        """Register and start; wait for the database if it is away. Returns False when told to stop meanwhile.

        One whose tables are not there is waited for too, but by a worker that runs inside a command: that raises
        `RoostError`.
        """
        while True:
            try:
                if self._postgres:
                    self.link.open()
                self.registration.enter()
                break
            except (DatabaseError, psycopg.Error) as error:
                connections[self._using].close()
                # The living may have been cut off from it as well, and have to come back first.
                self.sweeper.unsettle(lost=True)
                self._tell(error)
                if self._drain.stop.wait(RETRY_SECONDS):
                    self.link.close()
                    return False
        if self._postgres:
            self.link.start()
        self.async_lane.start()
        self.housekeeping.start()
        self.sweeper.start()
        return True

    def _tell(self, error: Exception) -> None:
        """Say why the start has to wait. Raises `RoostError` where nobody would wait for tables that are not there."""
        if not not_migrated(error):
            logger.warning("the database cannot be reached yet: %s", error)
            return
        first = str(error).splitlines()[0].rstrip(".")
        told = f"Roost's tables in the database {self._using!r} are not there, or older than this code: {first}. "
        told += f"Run `manage.py migrate --database {self._using}`."
        if self._drain.options.in_this_process:
            self.link.close()
            raise RoostError(told) from error
        logger.warning("%s", told)

    def submit(self, runs: Sequence[Run]) -> None:
        """Start the next step of each run in its lane."""
        waits = [run for run in runs if run.is_async]
        if waits:
            self.async_lane.submit(waits)
        if len(waits) < len(runs):
            self.atomic_lane.submit([run for run in runs if not run.is_async])

    def cancel(self, run: Run) -> None:
        """Cancel the run's step as far as that is possible."""
        if run.is_async:
            self.async_lane.cancel(run)

    def say_draining(self) -> None:
        """Tell the table of workers that this one takes no more work."""
        try:
            self.registration.draining()
        except DatabaseError:
            logger.info("the worker's state could not be written", exc_info=True)

    def close(self, *, lingering: bool) -> None:
        """End the helpers and the registration.

        While a step is `lingering` that uses resources, the worker is not off: others find it dead when the process has
        ended, and free these then.
        """
        self.sweeper.stop()
        self.housekeeping.stop()
        self.async_lane.stop()
        self.atomic_lane.stop()
        self.journal.stop()
        try:
            if not lingering:
                self.registration.leave()
        except DatabaseError:
            logger.info("the worker's end could not be written", exc_info=True)
        self.link.close()
        connections.close_all()

    def _hear(self, payload: str) -> None:
        if payload.startswith(wake.RECALL):
            self.housekeeping.look_now(payload.removeprefix(wake.RECALL))
        elif payload == wake.SCHEDULES:
            self.housekeeping.schedules.look_now()
        else:
            self._drain.post("wake")
