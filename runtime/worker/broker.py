"""Give django-q2's workers their tickets."""

from __future__ import annotations

import time
import uuid
from typing import Any

from django.utils import timezone
from django_q.brokers import Broker
from django_q.signing import SignedPackage

from runtime.exceptions import RoostError
from runtime.worker.options import WorkerOptions
from runtime.worker.stop_pipe import StopPipe
from runtime.worker.tickets import TicketQueue

QUICKEST, SLOWEST = 0.005, 0.2


class RoostBroker(Broker):  # type: ignore[misc]  # django-q2 has no types
    """Keep one spare ticket in the queue, so that a new worker process need not wait for its own.

    A ticket is for a process's whole life. Whether the spare was taken is read from the queue itself: there is no
    count that a killed worker or pusher could leave wrong, and a ticket lost or doubled changes nothing, because the
    database is the queue.
    """

    def __init__(self, options: WorkerOptions, stop: StopPipe) -> None:
        super().__init__(list_key="roost")
        self._options = options
        self._stop = stop
        self._tickets: TicketQueue | None = None
        self._pause = QUICKEST

    def hand_out_through(self, tickets: TicketQueue) -> None:
        """Name the queue the pusher fills; to be called before the pusher is forked."""
        self._tickets = tickets

    def dequeue(self) -> list[tuple[str, str]] | None:
        """Return one signed ticket if the queue has none; else wait, at most 0.2 s, and return None."""
        if self._stop.abandoned:
            raise SystemExit(1)
        if self._stop.is_set():
            # Until the sentinel ends the pusher: no ticket, and no busy loop.
            time.sleep(QUICKEST)
            return None
        if self._tickets is not None and self._tickets.empty():
            self._pause = QUICKEST
            ticket = self._ticket()
            return [(ticket["id"], SignedPackage.dumps(ticket))]
        self._stop.wait(self._pause)
        self._pause = min(self._pause * 2, SLOWEST)
        return None

    def enqueue(self, task: Any) -> Any:
        """Refuse: work is enqueued as items, not as django-q2 tasks."""
        raise RoostError(
            "Roost's broker takes no django-q2 tasks. Enqueue an item with runtime.operations.enqueue, "
            "or use the product's own django-q2 cluster."
        )

    def queue_size(self) -> int:
        """Return the number of spare tickets."""
        return self._tickets.qsize() if self._tickets is not None else 0

    def lock_size(self) -> int:
        """Return 0: tickets are not acknowledged."""
        return 0

    def ping(self) -> bool:
        """Return True: there is nothing to connect to."""
        return True

    def info(self) -> str:
        """Name the broker."""
        return "Roost"

    @staticmethod
    def get_cache() -> None:
        """Return no cache: django-q2's statistics would go to the product's."""
        return

    def _ticket(self) -> dict[str, Any]:
        return {
            "id": uuid.uuid4().hex,
            "name": "roost-drain",
            "func": "runtime.tasks.drain",
            "args": (),
            "kwargs": self._options.to_dict(),
            "started": timezone.now(),
            # None would kill the worker; -1 is django-q2's "no time limit".
            "timeout": -1,
            "save": False,
        }
