"""Know in a working process when to stop: gracefully, or at once."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from runtime.worker.stop_pipe import StopPipe

logger = logging.getLogger("roost.worker")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# `timeout`, process groups and some supervisors deliver one order twice within microseconds.
SAME_ORDER_SECONDS = 0.05
_CLOSE = b"\0"


class SignalCount:
    """Count orders to stop; the echo of one order counts once."""

    def __init__(self) -> None:
        self.orders = 0
        self._last = 0.0

    def add(self) -> int:
        """Return how many orders there were, this one included."""
        now = time.monotonic()
        if not self.orders or now - self._last > SAME_ORDER_SECONDS:
            self.orders += 1
            self._last = now
        return self.orders


class StopToken:
    """Know when this process has to stop. Use it as a context manager, in the main thread if signals shall count.

    The first SIGTERM or SIGINT, or a byte in the pipe, requests a graceful stop; a second signal, or the end of the
    pipe, ends the process on the spot. A thread of its own watches, so that it works while the main thread is inside
    a long call.
    """

    _of_process: StopToken | None = None

    def __init__(self, pipe: StopPipe | None = None) -> None:
        self._pipe = pipe
        self._event = threading.Event()
        self._guard = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._signals = SignalCount()
        self._restore: list[Callable[[], object]] = []
        self.immediate = False

    @classmethod
    def of_process(cls) -> StopToken:
        """Return the token that is active in this process; raises RuntimeError if there is none."""
        if cls._of_process is None:
            raise RuntimeError("This process was not started by runworker: tickets are not to be run elsewhere.")
        return cls._of_process

    @property
    def requested(self) -> bool:
        """Whether no new work is to be taken."""
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for a request at most `timeout` seconds; return whether there is one."""
        return self._event.wait(timeout)

    def add_callback(self, callback: Callable[[], object]) -> None:
        """Call `callback` once when a stop is requested, from the watching thread; now, if it already is."""
        with self._guard:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def request(self) -> None:
        """Request a graceful stop from inside the process."""
        with self._guard:
            if self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("A callback of the stop token failed")

    def __enter__(self) -> StopToken:
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        if threading.current_thread() is threading.main_thread():
            self._take_signals()
        self._thread = threading.Thread(target=self._watch, name="roost-stop", daemon=True)
        self._thread.start()
        self._before, StopToken._of_process = StopToken._of_process, self
        return self

    def __exit__(self, *exc: tuple[type[BaseException] | None, BaseException | None, TracebackType | None]) -> None:
        StopToken._of_process = self._before
        for restore in reversed(self._restore):
            restore()
        os.write(self._wake_write, _CLOSE)
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _take_signals(self) -> None:
        """Let the interpreter's C handler write each signal's number to our pipe, whatever the main thread does."""
        old = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._restore.append(lambda: signal.set_wakeup_fd(old))
        for signum in SIGNALS:
            self._take_signal(signum)

    def _take_signal(self, signum: signal.Signals) -> None:
        before: Any = signal.signal(signum, _noted)
        self._restore.append(lambda: signal.signal(signum, before))

    def _watch(self) -> None:
        poller = select.poll()
        poller.register(self._wake_read, select.POLLIN)
        if self._pipe is not None:
            poller.register(self._pipe.fileno(), select.POLLIN)
        while True:
            for fd, ready in poller.poll():
                if fd == self._wake_read:
                    received = os.read(self._wake_read, 64)
                    self._count(received)
                    if _CLOSE in received:
                        return
                elif ready & select.POLLHUP:
                    self._end(1)
                else:
                    # The byte stays in the pipe for the others: from now on wait for the end alone.
                    poller.modify(fd, 0)
                    self.request()

    def _count(self, received: bytes) -> None:
        for signum in received:
            if signum in SIGNALS:
                if self._signals.add() > 1:
                    self._end(128 + signum)
                self.request()

    def _end(self, code: int) -> None:
        self.immediate = True
        os._exit(code)


def _noted(signum: int, frame: FrameType | None) -> None:
    """Stand in for the default action; the watching thread acts on the byte that was written."""
