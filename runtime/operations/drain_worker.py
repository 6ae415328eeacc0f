"""Have a worker take no new work, and take work again."""

from __future__ import annotations

import logging
import uuid
from typing import Any

from runtime import faults
from runtime.choices import WorkerState
from runtime.exceptions import Conflict, NotFound
from runtime.models import Worker
from runtime.operations.base import actor_name, check_permission
from runtime.sentences import say as _
from runtime.store import work_database
from runtime.store.transactions import transacted

logger = logging.getLogger("roost.worker")


def drain_worker(worker: uuid.UUID, *, by: Any = None, actor: str = "", using: str | None = None) -> Worker:
    """Let the worker process finish the steps that it runs, give its items back after them, and take no others.

    It hears of it with its next heartbeat, and stays until `resume_worker` or its end; a process that takes its place
    takes work. Returns its row. Raises `Conflict` when it drains already or has stopped, `NotFound`, `Forbidden`.
    """
    return _turn(worker, WorkerState.DRAINING, "drain", by=by, actor=actor, using=using)


def resume_worker(worker: uuid.UUID, *, by: Any = None, actor: str = "", using: str | None = None) -> Worker:
    """Let a worker process that drains take work again, from its next heartbeat on. Returns its row.

    Raises `Conflict` when it takes work already or has stopped, `NotFound`, `Forbidden`.
    """
    return _turn(worker, WorkerState.ONLINE, "resume", by=by, actor=actor, using=using)


def _turn(worker: uuid.UUID, wanted: WorkerState, verb: str, *, by: Any, actor: str, using: str | None) -> Worker:
    using = using or work_database()
    check_permission(by, "change_worker", f"{verb} workers", everywhere=True)

    def once() -> Worker:
        row: Worker | None = Worker.objects.using(using).select_for_update(no_key=True).filter(pk=worker).first()
        if row is None:
            raise NotFound(_("There is no worker %(worker)s: `roost workers` lists those there are.", worker=worker))
        if row.state != WorkerState.ONLINE:
            raise Conflict(
                _("The worker %(row)s is %(state)s: it stops, or has stopped.", row=row, state=row.state),
                state=row.state,
            )
        if row.desired_state == wanted:
            told = "drains" if wanted == WorkerState.DRAINING else "takes work"
            raise Conflict(_("The worker %(row)s %(told)s already.", row=row, told=told), state=wanted.value)
        return row.compare_and_set(desired_state=wanted)

    with faults.around("rule"):
        row = transacted(using, once)
    logger.info("worker %s: %s by %s", row, verb, actor_name(by, actor) or "the product")
    return row
