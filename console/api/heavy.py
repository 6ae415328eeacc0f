"""Keep what reads whole runs, takes whole files, or looks at the whole installation, from taking all that a process
has of memory and time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from console.api.problems import Refusal

SOON = {"Retry-After": "2"}


class Places:
    """How many such requests a process serves at once."""

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Take one of the places. Raises `Refusal` (503, with Retry-After) when there is none: nobody waits here."""
        if not self._free.acquire(blocking=False):
            raise Refusal(503, "busy", "As many such requests as may are served here. Come again.", headers=SOON)
        try:
            yield
        finally:
            self._free.release()


heavy = Places(4)
uploads = Places(4)
"""Each keeps a file of `ROOST_API_MAX_UPLOAD_BYTES` at most on the disk and, later, in memory."""
