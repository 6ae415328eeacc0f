"""Keep a pool of worker processes complete, with django-q2's sentinel and no lock shared between processes."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import connection
from multiprocessing.sharedctypes import RawValue
from typing import Any

from django_q import cluster as django_q_cluster

from runtime.worker.broker import RoostBroker
from runtime.worker.stop import SIGNALS, StopToken
from runtime.worker.stop_pipe import StopPipe, die_with_parent
from runtime.worker.tickets import TicketQueue

logger = logging.getLogger("roost.worker")

BREATH_SECONDS = 0.05
LINGER_SECONDS = 1.0


class Timer:
    """What a worker and the sentinel tell each other; one aligned float, written whole, needs no lock."""

    def __init__(self) -> None:
        self._shared = RawValue(ctypes.c_float, -1)

    @property
    def value(self) -> float:
        """-1: nothing to watch; -2: the process ended as planned."""
        return float(self._shared.value)

    @value.setter
    def value(self, value: float) -> None:
        self._shared.value = value

    def get_lock(self) -> AbstractContextManager[None]:
        """Return a lock that is none: a process killed inside a real one would block the sentinel for ever."""
        return nullcontext()


class Watch:
    """Wait for the order to stop and for the end of a child at once, so that a dead worker is replaced at once."""

    def __init__(self, stop: StopPipe, children: Callable[[], list[Any]]) -> None:
        self._stop = stop
        self._children = children

    def is_set(self) -> bool:
        """Tell whether a stop was ordered."""
        return self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        """Wait until a stop is ordered or a child ended, at most `timeout` seconds; return whether it is a stop."""
        # Children that die at their start must not make the sentinel fork without a breath.
        if not self._stop.wait(BREATH_SECONDS):
            connection.wait([self._stop.fileno(), *(child.sentinel for child in self._children())], timeout)
        return self._stop.is_set()


class RoostSentinel(django_q_cluster.Sentinel):  # type: ignore[misc]  # django-q2 has no types
    """Start the pool, replace whoever dies, and end with the last worker after a stop was ordered.

    Ignores SIGTERM and SIGINT, which a terminal or a supervisor may send to the whole process group: the order to
    stop comes through the pipe, from the first process.
    """

    def __init__(self, stop: StopPipe, cluster_id: uuid.UUID, broker: RoostBroker) -> None:
        self._order = stop
        watch = Watch(stop, lambda: [*self.pool, self.monitor, self.pusher])
        super().__init__(watch, threading.Event(), cluster_id, broker, start=False)
        for signum in SIGNALS:
            signal.signal(signum, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        self.task_queue = TicketQueue(stop, ends_at_stop=True)
        self.result_queue = TicketQueue(stop, ends_at_stop=False)
        self.event_out = StopPipe()
        broker.hand_out_through(self.task_queue)
        self.start()

    def spawn_worker(self) -> None:
        """Start one worker process."""
        self.spawn_process(django_q_cluster.worker, self.task_queue, self.result_queue, Timer(), self.timeout)

    def spawn_process(self, target: Callable[..., None], *args: Any) -> Any:
        """Start a process that ends when the sentinel does."""
        is_worker = target is django_q_cluster.worker
        process = django_q_cluster.get_mp_context().Process(
            target=_live_as_worker if is_worker else _live_as_aide,
            args=(target, os.getpid(), self._order, *args),
            name=f"Process-{uuid.uuid4().hex}",
            # A step may start processes of its own, which a daemon may not.
            daemon=not is_worker,
        )
        if is_worker:
            process.timer = args[2]
            self.pool.append(process)
        process.start()
        return process

    def reincarnate(self, process: Any) -> None:
        """Put a new process in the place of one that ended."""
        _tell_end(process, is_worker=process in self.pool)
        django_q_cluster.logger.disabled = True
        try:
            super().reincarnate(process)
        finally:
            django_q_cluster.logger.disabled = False

    def stop(self) -> None:
        """Wait for the workers, which know already, and end; at once if the first process is gone."""
        if not self._order.abandoned:
            super().stop()
        for process in (*self.pool, self.monitor, self.pusher):
            if process.is_alive():
                process.kill()


def run_sentinel(parent: int, stop: StopPipe, cluster_id: uuid.UUID, broker: RoostBroker) -> None:
    """Be the sentinel process; returns when the cluster has stopped."""
    # django-q2 sets SIGTERM to its default for a moment; blocked signals wait until ours is set.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    stop.only_listen()
    die_with_parent(parent)
    RoostSentinel(stop, cluster_id, broker)


def _live_as_worker(work: Callable[..., None], parent: int, stop: StopPipe, *args: Any) -> None:
    die_with_parent(parent)
    try:
        with StopToken(stop):
            work(*args)
    finally:
        threading.Thread(target=_end_for_sure, daemon=True).start()


def _end_for_sure() -> None:
    """End a worker whose drain is over, although a thread that some step left behind does not end."""
    time.sleep(LINGER_SECONDS)
    left = [one.name for one in threading.enumerate() if not one.daemon and one is not threading.main_thread()]
    logger.warning("Worker process %s ends although threads of its steps still run: %s", os.getpid(), ", ".join(left))
    os._exit(0)


def _live_as_aide(work: Callable[..., None], parent: int, stop: StopPipe, *args: Any) -> None:
    die_with_parent(parent)
    work(*args)


def _tell_end(process: Any, *, is_worker: bool) -> None:
    if is_worker and process.timer.value == -2:
        logger.debug("Worker process %s ended as planned; a new one takes its place", process.pid)
        return
    code = process.exitcode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    what = "Worker process" if is_worker else "A process that serves the workers,"
    logger.warning("%s %s %s; a new one takes its place", what, process.pid, how)
