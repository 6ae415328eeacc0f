"""Play a scenario with a worker in a thread of this process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import DatabaseError, connections

import runtime.store
from runtime import faults
from runtime.exceptions import RoostError
from runtime.faults import Follower
from runtime.store import work_database
from runtime.worker.drain import Drain
from runtime.worker.options import WorkerOptions
from runtime.worker.stop import StopToken
from tests.crash.scenario import Scenario, World

PATIENCE = 30.0
LOOK_SECONDS = 0.01
GRACE_SECONDS = 0.1
logger = logging.getLogger("tests.crash")


@contextmanager
def followed(follower: Follower) -> Iterator[None]:
    """Give the stores of this process their points, and tell the follower of each that is reached."""
    runtime.store._make.cache_clear()
    try:
        with faults.planned(follower):
            yield
    finally:
        runtime.store._make.cache_clear()


def play(scenario: Scenario, world: World, follower: Follower) -> None:
    """Prepare, then let worker and operator work until it is over. Raises `AssertionError` when it never is."""
    scenario.prepare(world)
    connections.close_all()
    with followed(follower):
        worker = Worker()
        worker.start()
        try:
            operate(scenario, world)
        finally:
            worker.end()
            connections.close_all()


def operate(scenario: Scenario, world: World, patience: float = PATIENCE) -> None:
    """Be the operator, who does again what an error kept him from doing."""
    give_up_at = time.monotonic() + patience
    while time.monotonic() < give_up_at:
        try:
            if scenario.play(world):
                return
        except (RoostError, DatabaseError) as error:
            logger.info("the operator met %r", error)
            connections.close_all()
        time.sleep(LOOK_SECONDS)
    raise AssertionError(f"{scenario.name} does not end")


class Worker(threading.Thread):
    """A worker; when its drain fails, another one takes its place."""

    def __init__(self) -> None:
        super().__init__(name="crash-worker", daemon=True)
        self._ending = threading.Event()
        self._stop_token: StopToken | None = None

    def run(self) -> None:
        """Work until ended."""
        while not self._ending.is_set():
            try:
                with StopToken() as token:
                    self._stop_token = token
                    drain_with(token)
            except Exception as error:  # noqa: BLE001 - the fault, most of the time; the tables tell the rest
                logger.info("the worker ended with %r", error)
            finally:
                connections.close_all()

    def end(self) -> None:
        """Stop and wait."""
        self._ending.set()
        give_up_at = time.monotonic() + PATIENCE
        while self.is_alive() and time.monotonic() < give_up_at:
            if self._stop_token is not None:
                self._stop_token.request()
            self.join(0.1)
        assert not self.is_alive(), "the worker does not end"


def drain_with(token: StopToken) -> None:
    """Run one drain; what a failed start has opened is closed, as the end of a process would."""
    drain = Drain(WorkerOptions.defaults(work_database(), grace_seconds=GRACE_SECONDS), token)
    try:
        drain.run()
    except BaseException:
        crew = drain.crew
        if crew.housekeeping.is_alive():
            crew.sweeper.stop()
            crew.housekeeping.stop()
            crew.async_lane.stop()
            crew.atomic_lane.stop()
            crew.journal.stop()
        crew.link.close()
        # A process that ends is seen to be gone; this one goes on, so its row has to say it.
        with suppress(DatabaseError, RoostError):
            crew.registration.leave()
        raise
