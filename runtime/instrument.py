"""The one point where what happened is told to logs, signals and live pages.

Called after the commit, never inside a transaction, and never allowed to fail what it tells of.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from runtime import live, tracing, wake
from runtime.signals import item_moved, items_enqueued

if TYPE_CHECKING:
    from runtime.models import WorkItem

logger = logging.getLogger("roost")


runs_at_once = False
"""Set while what is due runs in the thread that made it so (`runtime.testing.inline`)."""


def enqueued(using: str, ids: Iterable[uuid.UUID], *, due: bool = True) -> None:
    """Tell that items were enqueued, and wake idle workers when some are due."""
    found = list(ids)
    if due:
        wake.hint(using)
    live.told(using)
    if tracing.active is not None:
        tracing.active.enqueued(found)
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug("enqueued %d items", len(found), extra={"work_items": [str(item) for item in found]})
    _send(items_enqueued, ids=found, using=using)


def moved(using: str, item: WorkItem, verb: str) -> None:
    """Tell that an operator moved an item; the worker that runs it, if any, looks at its leases at once."""
    # Who runs it learns of that before anybody is told to look for work, which may be the same worker.
    wake.recall(using, item.pk)
    wake.hint(using)
    live.told(using)
    logger.info("%s %s", verb, item.pk, extra={"work_item": str(item.pk), "engine": item.engine, "state": item.state})
    _send(item_moved, item=item, verb=verb, using=using)


def committed(using: str) -> None:
    """Tell open pages that a worker claimed items, or wrote what became of them."""
    live.told(using)


def _send(signal: object, **data: object) -> None:
    for receiver, answer in signal.send_robust(sender=None, **data):  # type: ignore[attr-defined]
        if isinstance(answer, Exception):
            logger.error("receiver %r failed", receiver, exc_info=answer)
