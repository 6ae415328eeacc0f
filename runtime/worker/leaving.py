"""Give items back that are run here no more, and what they use.

What a step uses that does not end must not be anybody else's before its process has ended.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Sequence

from django.db import DatabaseError, connections

from runtime.choices import Reason, State
from runtime.exceptions import NotFound
from runtime.models import WorkItem
from runtime.operations.release import Release
from runtime.store.base import Store
from runtime.store.values import Held, Move
from runtime.worker.run import Run

logger = logging.getLogger("roost.worker")

CANCEL_SECONDS = 0.3
"""How long a step with resources may take to end once it is cancelled."""


def still_busy(runs: Sequence[Run], seconds: float = CANCEL_SECONDS) -> list[Run]:
    """Return those of these cancelled runs with resources whose step has not ended after so many seconds."""
    until = time.monotonic() + seconds
    while (busy := [run for run in runs if run.claimed.limited and run.started]) and time.monotonic() < until:
        time.sleep(seconds / 20)
    return busy


def give_back(store: Store, worker: uuid.UUID, held: Sequence[Held]) -> int:
    """Give items back; what the database does not take now is given back when it is found to be unknown here."""
    if not held:
        return 0
    try:
        return store.release(worker, held, Reason.RELEASED)
    except DatabaseError:
        logger.warning("%d items could not be released; their leases will end", len(held), exc_info=True)
        connections[store.using].close()
        return 0


def let_go_of_claims(store: Store, worker: uuid.UUID, run: Run) -> None:
    """Let go of what an item that was taken away has used here; where the database refuses, its lease ends that."""
    try:
        store.acknowledge(worker, [run.held])
    except DatabaseError:
        logger.info("the claims of item %s are freed when its lease expires", run.id, exc_info=True)


def take_away(store: Store, run: Run) -> bool:
    """Put an item back into the queue with its resources left to it, under a lease that is revoked.

    Returns whether it was this run's still. A database that refuses is logged: then the lease ends by itself.
    """
    release = Release(run.id, using=store.using)

    def decide(item: WorkItem) -> Move | None:
        is_ours = item.state == State.RUNNING and item.epoch == run.claimed.epoch
        return release.decide(item) if is_ours else None

    try:
        return store.move(run.id, decide, actor="", reason=Reason.RELEASED)[1]
    except (DatabaseError, NotFound):
        logger.warning("item %s could not be given back; its lease will end", run.id, exc_info=True)
        connections[store.using].close()
        return False
