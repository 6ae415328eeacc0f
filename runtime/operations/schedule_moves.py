"""Pause, resume and run schedules."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from functools import partial
from typing import Any, Unpack

from django.db import transaction

from runtime import clock, faults, instrument
from runtime.exceptions import Conflict, StaleVersion
from runtime.models import Schedule, WorkItem
from runtime.models.workitem import new_id
from runtime.operations.base import MoveOptions, Verb, require_reach
from runtime.operations.firing import build_item
from runtime.operations.schedules import (
    find_schedule,
    gone_schedule,
    missing_schedule,
    schedule_by_id,
    set_schedule,
    upcoming_run,
)
from runtime.operations.spec import DEFAULT_NAMESPACE
from runtime.sentences import say as _
from runtime.store.transactions import transacted
from runtime.store.values import NewItem


class ScheduleMove(Verb):
    """What is asked of one schedule, named by its id, or by its name and namespace.

    With `row_version` it is done only if nobody edited the schedule since that version was read; firings do not count.
    A schedule has no history of its own: a reason is kept by whoever asks, as the admin does in Django's log.
    """

    def __init__(
        self,
        schedule: uuid.UUID | None = None,
        *,
        name: str = "",
        namespace: str = DEFAULT_NAMESPACE,
        **options: Unpack[MoveOptions],
    ) -> None:
        super().__init__(**options)
        self.schedule_id = schedule
        self.name, self.namespace = name, namespace

    @abstractmethod
    def would_change(self, schedule: Schedule) -> bool:
        """Say whether it would be done to the schedule as it was read. Raises what would refuse it; reads nothing."""

    def _found(self, *, lock: bool) -> Schedule:
        """Return the schedule, its row locked on wish. Raises `NotFound`, and `StaleVersion` if it was edited since."""
        using = self.store.using
        if self.schedule_id is None:
            schedule = find_schedule(self.name, namespace=self.namespace, using=using, lock=lock)
            missing = missing_schedule(self.namespace, self.name)
        else:
            schedule = schedule_by_id(self.schedule_id, using=using, lock=lock)
            missing = gone_schedule(self.schedule_id)
        require_reach(self.by, schedule.namespace, missing)
        if self.row_version not in (None, schedule.row_version):
            raise StaleVersion(
                _("The schedule %(name)r changed since it was read. Look at it again.", name=schedule.name)
            )
        return schedule


class PauseSchedule(ScheduleMove):
    """Keep a schedule from firing until it is resumed."""

    verb = _("pause schedules")
    participle = _("paused")
    permission = "change_schedule"

    def would_change(self, schedule: Schedule) -> bool:
        """Raise `Conflict` for one that is paused."""
        if not schedule.enabled:
            raise Conflict(_("The schedule %(name)r is paused already.", name=schedule.name), state="paused")
        return True

    def execute(self) -> Schedule:
        """Pause it. Raises `Conflict`, `NotFound`, `Forbidden`."""
        self.check_permission()

        def once() -> Schedule:
            schedule = self._found(lock=True)
            self.would_change(schedule)
            return schedule.compare_and_set(enabled=False, updated_at=clock.now(self.store.using))

        with faults.around("rule"):
            return transacted(self.store.using, once)


class ResumeSchedule(ScheduleMove):
    """Let a paused schedule fire again, from its next time on: what passed meanwhile is not made up for."""

    verb = _("resume schedules")
    participle = _("resumed")
    permission = "change_schedule"

    def would_change(self, schedule: Schedule) -> bool:
        """Raise `Conflict` for one that is not paused, `InvalidInput` when its time has passed or it is refused."""
        self._require_paused(schedule)
        now = self.now()
        build_item(schedule, now, using=self.store.using, now=now)
        upcoming_run(schedule, now)
        return True

    def execute(self) -> Schedule:
        """Resume it. Raises `Conflict`, `InvalidInput`, `NotFound`, `Forbidden`."""
        self.check_permission()

        def once() -> Schedule:
            schedule = self._found(lock=True)
            self._require_paused(schedule)
            return set_schedule(
                schedule.name, namespace=schedule.namespace, by=self.by, using=self.store.using, enabled=True
            )

        with faults.around("rule"):
            return transacted(self.store.using, once)

    def _require_paused(self, schedule: Schedule) -> None:
        if schedule.enabled:
            raise Conflict(_("The schedule %(name)r is not paused.", name=schedule.name), state="enabled")


class RunSchedule(ScheduleMove):
    """Enqueue what a schedule enqueues, now, beside its own times; also while it is paused.

    Each is a firing with a key of its own. The key is made of the `click` if there is one: pressed twice, it makes one
    item.
    """

    verb = _("run schedules")
    participle = _("run")
    permission = "run_schedule"

    def would_change(self, schedule: Schedule) -> bool:
        """Raise `InvalidInput` and the like when the engine refuses what would be enqueued."""
        now = self.now()
        build_item(schedule, now, using=self.store.using, now=now)
        return True

    def execute(self) -> WorkItem:
        """Enqueue it and return the item. Joins the caller's transaction.

        Raises `NotFound`, `Forbidden`, `InvalidInput`.
        """
        self.check_permission()
        return transacted(self.store.using, self._enqueue)

    def _enqueue(self) -> WorkItem:
        # Not locked: the caller's transaction may be a long one, and keep the schedule from firing by itself.
        using, schedule = self.store.using, self._found(lock=False)
        key = f"manual:{self.click or new_id()}"
        new: NewItem = build_item(schedule, clock.now(using), using=using, key=key, actor=self.actor)
        made = self.store.insert([new])
        if made:
            told = partial(instrument.enqueued, using, made, due=True)
            transaction.on_commit(told, using=using, robust=True)
        rows = WorkItem.objects.using(using)
        found: WorkItem = rows.get(namespace=new.namespace, idempotency_key=new.idempotency_key)
        return found


def pause_schedule(
    name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, using: str | None = None
) -> Schedule:
    """Keep the schedule from firing. Raises `Conflict` when it is paused, `NotFound`, `Forbidden`."""
    return PauseSchedule(name=name, namespace=namespace, by=by, using=using).execute()


def resume_schedule(
    name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, using: str | None = None
) -> Schedule:
    """Let the schedule fire again; see `ResumeSchedule`.

    Raises `Conflict` when it is not paused, `InvalidInput` when its only time has passed, `NotFound`, `Forbidden`.
    """
    return ResumeSchedule(name=name, namespace=namespace, by=by, using=using).execute()


def run_schedule(
    name: str, *, namespace: str = DEFAULT_NAMESPACE, by: Any = None, actor: str = "", using: str | None = None
) -> WorkItem:
    """Enqueue what the schedule enqueues, now; see `RunSchedule`. Raises `NotFound`, `Forbidden`, `InvalidInput`."""
    return RunSchedule(name=name, namespace=namespace, by=by, actor=actor, using=using).execute()
