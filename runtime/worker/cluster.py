"""Run a pool of worker processes until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import connection
from types import FrameType
from typing import Any

from django.conf import settings
from django.db import connections
from django_q import cluster as django_q_cluster
from django_q.conf import Conf

from runtime.exceptions import RoostError
from runtime.worker.broker import RoostBroker
from runtime.worker.options import WorkerOptions
from runtime.worker.sentinel import run_sentinel
from runtime.worker.stop import SIGNALS, SignalCount
from runtime.worker.stop_pipe import StopPipe

logger = logging.getLogger("roost.worker")

# After the grace period the drains release what they hold; then this is how long they may take to end.
RELEASE_SECONDS = 3.0
LOOK_SECONDS = 0.25


def run(options: WorkerOptions) -> int:
    """Run `options.processes` workers until SIGTERM or SIGINT; return the exit code.

    0 after a graceful stop; 1 if the sentinel died or the workers outlasted their grace period. A second signal
    ends this process on the spot with 128 + its number, and the others with it. Must be called in the main thread.
    """
    if "fork" not in django_q_cluster.multiprocessing.get_all_start_methods():
        raise RoostError("Worker processes need fork(), which this system lacks. Use --until-idle, or a POSIX system.")
    before = {signum: signal.getsignal(signum) for signum in SIGNALS}
    with _conf(options), _operators_log_level():
        try:
            return RoostCluster(options).run()
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


class RoostCluster(django_q_cluster.Cluster):  # type: ignore[misc]  # django-q2 has no types
    """The first process: starts the sentinel, passes the order to stop on, and outlives everyone else.

    It alone holds the writing end of the stop pipe, so that its death, however sudden, is an order to all.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._stop = StopPipe()
        self._signals = SignalCount()
        self._deadline: float | None = None
        super().__init__(broker=RoostBroker(options, self._stop))

    def start(self) -> int:
        """Start the sentinel, which starts the others; return this process's id."""
        for connection_ in connections.all(initialized_only=True):
            connection_.close()
            # A pool's threads would not survive the fork, but its sockets would.
            close_pool = getattr(connection_, "close_pool", None)
            if close_pool is not None:
                close_pool()
        self.sentinel = django_q_cluster.get_mp_context().Process(
            target=run_sentinel,
            name="roost-sentinel",
            args=(os.getpid(), self._stop, self.cluster_id, self.broker),
        )
        self.sentinel.start()
        return os.getpid()

    def stop(self) -> bool:
        """Order a graceful stop; returns at once."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._options.grace_seconds + RELEASE_SECONDS
            self._stop.set()
        return True

    def sig_handler(self, signum: int, frame: FrameType | None) -> None:
        """Stop gracefully at the first signal, at once at the second."""
        if self._signals.add() > 1:
            self._kill()
            os._exit(128 + signum)
        self.stop()

    def run(self) -> int:
        """Start, wait for the end, return the exit code."""
        self.start()
        logger.info("Started %s worker processes", self._options.processes)
        # Its children hold the sentinel's pipe too, so that alone does not tell of its death: ask for the process.
        while self.sentinel.is_alive():
            connection.wait([self.sentinel.sentinel], timeout=LOOK_SECONDS)
            if self._deadline is not None and time.monotonic() > self._deadline:
                logger.error("Workers did not end within their grace period and are killed; their items are recovered")
                self._kill()
                return 1
        self.sentinel.join()
        self._stop.close()
        if self._deadline is not None and self.sentinel.exitcode == 0:
            logger.info("Stopped")
            return 0
        logger.critical("The sentinel ended with exit code %s, and the workers with it", self.sentinel.exitcode)
        return 1

    def _kill(self) -> None:
        if self.sentinel is not None and self.sentinel.pid:
            self.sentinel.kill()


@contextmanager
def _conf(options: WorkerOptions) -> Iterator[None]:
    """Give django-q2, in this process and its children alone, what our cluster needs; `Q_CLUSTER` stays as it is."""
    ours: dict[str, Any] = {
        "WORKERS": options.processes,
        # A ticket is for life: a process that is done with it ends, and a new one takes the next.
        "RECYCLE": 1,
        "SAVE_LIMIT": -1,
        "SCHEDULER": False,
        "TIMEOUT": None,
        "MAX_RSS": None,
        "QUEUE_LIMIT": None,
        # A death wakes the sentinel, unless the dead one's own children live on: then it looks this often.
        "GUARD_CYCLE": 1.0,
        "CPU_AFFINITY": 0,
    }
    before = {name: getattr(Conf, name) for name in ours}
    for name, value in ours.items():
        setattr(Conf, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(Conf, name, value)


@contextmanager
def _operators_log_level() -> Iterator[None]:
    """Keep django-q2's own messages to errors, unless the operator configured its logger."""
    configured: dict[str, Any] = getattr(settings, "LOGGING", None) or {}
    chosen = "django-q" in configured.get("loggers", {})
    theirs = django_q_cluster.logger
    before = theirs.level
    if not chosen:
        theirs.setLevel(logging.ERROR)
    try:
        yield
    finally:
        theirs.setLevel(before)
