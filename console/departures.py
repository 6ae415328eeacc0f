"""Tell whoever works on a request that its client has gone, so that nobody works or waits for no one.

`console.asgi` puts a departure into each request's scope and tells it. Other servers say nothing of a client who goes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.http import HttpRequest

KEY = "roost.departure"
"""Where in the scope it is."""


class Departure:
    """Told at most once, from any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._told = False
        self._heeding: list[Callable[[], None]] = []

    def tell(self) -> None:
        """Have everybody who heeds it know, in this thread."""
        with self._guard:
            heeding, self._told = ([] if self._told else list(self._heeding)), True
        for heed in heeding:
            heed()

    @contextmanager
    def heeded(self, heed: Callable[[], None]) -> Iterator[None]:
        """Call `heed` when the client goes while the block runs, at once if it has gone. It must not take long."""
        with self._guard:
            told = self._told
            self._heeding.append(heed)
        try:
            if told:
                heed()
            yield
        finally:
            with self._guard:
                self._heeding.remove(heed)


def departure_of(request: HttpRequest) -> Departure:
    """Return what is told when the client of the request goes; under other servers it is never told."""
    found = getattr(request, "scope", {}).get(KEY)
    return found if isinstance(found, Departure) else Departure()
