"""The functions that django-q2 calls, and the same work without it."""

from __future__ import annotations

import logging
from typing import Any

from runtime.worker.options import WorkerOptions
from runtime.worker.stop import StopToken

logger = logging.getLogger("roost.worker")

# A drain that fails at its start is not started again at once.
FAILED_DRAIN_SECONDS = 1.0


def drain(**ticket: Any) -> None:
    """Run items until this worker process is told to stop; called by django-q2 with a ticket's values.

    Never raises: django-q2 would store the failure in the product's tables. What went wrong is logged, the process
    ends after a second, and a new one takes its place.
    """
    stop = StopToken.of_process()
    if stop.requested:
        return
    try:
        _drain(WorkerOptions.from_dict(ticket), stop)
    except Exception:
        logger.exception("A drain failed; its process is replaced, and its items are recovered")
        stop.wait(FAILED_DRAIN_SECONDS)


def drain_here(options: WorkerOptions) -> None:
    """Run items in this process until its options say it is enough, or a signal does."""
    with StopToken() as stop:
        _drain(options, stop)


def _drain(options: WorkerOptions, stop: StopToken) -> None:
    from runtime.worker.drain import Drain

    Drain(options, stop).run()
