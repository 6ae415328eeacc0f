"""Carry the order to stop, and the news of a death, down the tree of processes.

A byte in the pipe means *stop gracefully*; the pipe's end means that `runworker`'s first process is gone, and *stop at
once*. Nobody ever takes the byte out, so everyone sees it, also a process that starts later.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

_PR_SET_PDEATHSIG = 1


class StopPipe:
    """An order that is given once and seen by everyone; has the face of an Event, and no lock."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        """Return the end to poll: readable = stop gracefully, hung up = stop at once."""
        return self._read

    def set(self) -> None:
        """Order a graceful stop; safe in a signal handler."""
        os.write(self._write, b".")

    def is_set(self) -> bool:
        """Tell whether a stop was ordered, or whoever could order it is gone."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for an order at most `timeout` seconds; return whether there is one."""
        return bool(self._poll(timeout))

    @property
    def abandoned(self) -> bool:
        """Whether the process that held the other end is gone."""
        return bool(self._poll(0) & select.POLLHUP)

    def only_listen(self) -> None:
        """Give up the writing end: every child must, else the end of the first process goes unseen."""
        os.close(self._write)

    def close(self) -> None:
        """Close both ends, in the process that made them."""
        os.close(self._read)
        os.close(self._write)

    def _poll(self, timeout: float | None) -> int:
        poller = select.poll()
        poller.register(self._read, select.POLLIN)
        ready = poller.poll(None if timeout is None else timeout * 1000)
        return ready[0][1] if ready else 0


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends; end now if it already did.

    Linux only; elsewhere the end of the stop pipe says the same a little later.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
