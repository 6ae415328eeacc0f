"""Pass messages between the processes of a cluster without a lock.

`multiprocessing.Queue` guards its pipe with a semaphore that a killed reader leaves locked for ever. Here a datagram
is taken whole by exactly one reader, by the kernel, and a reader that dies leaves nothing behind.
"""

from __future__ import annotations

import logging
import pickle
import select
import socket
from typing import Any

from runtime.worker.stop_pipe import StopPipe

logger = logging.getLogger("roost.worker")

PILL = "STOP"
FULL_SECONDS = 5.0


class TicketQueue:
    """A queue of small messages with the face that django-q2 expects of one.

    Readers get `PILL` when the pipe orders a stop, if `ends_at_stop`; nobody needs to count pills then. If the first
    process is gone, a waiting reader ends with SystemExit. A message that finds no room for five seconds is dropped:
    the database is the queue, and nothing that matters may depend on one that is passed here.
    """

    def __init__(self, stop: StopPipe, *, ends_at_stop: bool) -> None:
        self._stop = stop
        self._ends_at_stop = ends_at_stop
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def put(self, message: Any) -> None:
        """Add a message; wait for room if there is none."""
        if message == PILL and self._ends_at_stop:
            return
        data = pickle.dumps(message)
        try:
            self._writer.send(data)
        except BlockingIOError:
            _poll((self._writer, select.POLLOUT), timeout=FULL_SECONDS)
            try:
                self._writer.send(data)
            except BlockingIOError:
                logger.error("A message between worker processes was dropped: nobody read the queue")

    def get(self) -> Any:
        """Take the next message, waiting for it."""
        while True:
            ready = _poll(
                (self._reader, select.POLLIN),
                (self._stop, select.POLLIN if self._ends_at_stop else 0),
            )
            order = ready.get(self._stop.fileno(), 0)
            if order & select.POLLHUP:
                raise SystemExit(1)
            if order:
                return PILL
            try:
                # Written by put() in a process of the same tree; the socket has no other end.
                return pickle.loads(self._reader.recv(1 << 20))  # noqa: S301
            except BlockingIOError:
                continue

    def empty(self) -> bool:
        """Tell whether nothing waits in the queue."""
        return not _poll((self._reader, select.POLLIN), timeout=0)

    def qsize(self) -> int:
        """Return 1 if something waits, else 0: the kernel does not tell how much."""
        return int(not self.empty())

    def close(self) -> None:
        """Do nothing: the sockets end with the processes that hold them."""

    def dispose(self) -> None:
        """Close the sockets of this process."""
        self._reader.close()
        self._writer.close()

    def join_thread(self) -> None:
        """Do nothing: messages are not passed through a thread."""


def _poll(*wanted: tuple[Any, int], timeout: float | None = None) -> dict[int, int]:
    poller = select.poll()
    for source, events in wanted:
        poller.register(source, events)
    return dict(poller.poll(None if timeout is None else timeout * 1000))
