"""Pause, resume and run schedules."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from runtime import clock, faults, instrument
from runtime.exceptions import Conflict
from runtime.models import Schedule, WorkItem
from runtime.models.workitem import new_id
from runtime.operations.base import actor_name, check_permission
from runtime.operations.firing import build_item
from runtime.operations.schedules import find_schedule, set_schedule
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.store import get_store, work_database
from runtime.store.transactions import transacted


def pause_schedule(
    name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, using: str | None = None
) -> Schedule:
    """Keep the schedule from firing. Raises `Conflict` when it is paused, `NotFound`, `Forbidden`."""
    using = using or work_database()
    check_permission(by, "change_schedule", "pause schedules")

    def once() -> Schedule:
        schedule = find_schedule(name, namespace=namespace, using=using, lock=True)
        if not schedule.enabled:
            raise Conflict(f"The schedule {name!r} is paused already.", state="paused")
        return schedule.compare_and_set(enabled=False, updated_at=clock.now(using))

    with faults.around("rule"):
        return transacted(using, once)


def resume_schedule(
    name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, using: str | None = None
) -> Schedule:
    """Let the schedule fire again, from its next time on: what passed while it was paused is not made up for.

    Raises `Conflict` when it is not paused, `InvalidInput` when its only time has passed, `NotFound`, `Forbidden`.
    """
    using = using or work_database()
    check_permission(by, "change_schedule", "resume schedules")

    def once() -> Schedule:
        if find_schedule(name, namespace=namespace, using=using, lock=True).enabled:
            raise Conflict(f"The schedule {name!r} is not paused.", state="enabled")
        return set_schedule(name, namespace=namespace, by=by, using=using, enabled=True)

    with faults.around("rule"):
        return transacted(using, once)


def run_schedule(
    name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, actor: str = "", using: str | None = None
) -> WorkItem:
    """Enqueue what the schedule enqueues, now, beside its own times; also while it is paused. Returns the item.

    Joins the caller's transaction. Each call is a firing with a key of its own.
    Raises `NotFound`, `Forbidden`, `InvalidInput`.
    """
    store = get_store(using)
    check_permission(by, "run_schedule", "run schedules")

    def once() -> WorkItem:
        schedule = find_schedule(name, namespace=namespace, using=store.using)
        moment = clock.now(store.using)
        new = build_item(schedule, moment, using=store.using, key=f"manual:{new_id()}", actor=actor_name(by, actor))
        made = store.insert([new])
        told = partial(instrument.enqueued, store.using, made, due=True)
        transaction.on_commit(told, using=store.using, robust=True)
        found: WorkItem = WorkItem.objects.using(store.using).get(pk=new.id)
        return found

    return transacted(store.using, once)
