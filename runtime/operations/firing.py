"""Fire schedules: enqueue what is due by the clock, each intended time once.

Any number of workers look for due schedules. Whoever gets the lock on a schedule's row (the others pass it over)
reads the time after that, enqueues an item for each intended time that is to be fired, and writes the next one: in
one transaction. A crash before its commit leaves the firing due, a crash after it leaves it done. The idempotency key
names schedule and intended time, so that even a row put back to an old time fires nothing twice.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Any

from django.db import DatabaseError, transaction

from runtime import clock, faults, instrument
from runtime.conf import settings as roost
from runtime.models import Schedule
from runtime.operations import item_options
from runtime.operations.spec import build
from runtime.store.base import Store
from runtime.store.transactions import transacted
from runtime.store.values import NewItem
from runtime.timetable import Due, Timetable, due

logger = logging.getLogger("roost.schedules")

MAX_WAIT = 300.0
"""Seconds between two attempts of a firing that is refused, at the most."""
MAX_ERROR = 1000
BATCH = 100


def outlook(store: Store, engines: Collection[str], *, batch: int = BATCH) -> tuple[list[uuid.UUID], float | None]:
    """Return the schedules that are due, at most `batch`, and the seconds until the next one is; changes nothing.

    Only those of the given engines: others may need newer code than this process has. The seconds are 0 when there is
    something due, since what a firing makes of its schedule is not known yet, and None when nothing is to come.
    """
    rows = Schedule.objects.using(store.using).filter(enabled=True, fire_at__isnull=False, engine__in=engines)
    found = list(rows.order_by("fire_at").values_list("pk", "fire_at")[:batch])
    if not found:
        return [], None
    now = clock.now(store.using)
    ripe = [pk for pk, at in found if at <= now]
    return ripe, 0.0 if ripe else (found[0][1] - now).total_seconds()


def fire(store: Store, schedules: Iterable[uuid.UUID]) -> int:
    """Fire those of the schedules that are still due; return how many items that made.

    Each in a transaction of its own, so that one that the database refuses keeps none of the others waiting.
    """
    made = 0
    for pk in schedules:
        found: list[int] = []
        try:
            with faults.around("fire"):
                made += transacted(store.using, partial(_fire, store, pk, found))
        except DatabaseError as error:
            with faults.around("fire"):
                transacted(store.using, partial(_put_off_if_due, store.using, pk, error, found))
    return made


def fire_due(store: Store, engines: Collection[str]) -> int:
    """Fire what is due now; return how many items that made."""
    return fire(store, outlook(store, engines)[0])


def _fire(store: Store, pk: uuid.UUID, found: list[int]) -> int:
    """Fire one schedule if it is still due once its row is locked; return how many items that made.

    The `row_version` that the schedule has is put into `found`.
    """
    schedule, now = _due(store.using, pk)
    if schedule is None:
        return 0
    found.append(schedule.row_version)
    if schedule.next_run is None:
        _write(store.using, schedule, fire_at=None)
        return 0
    try:
        plan = _plan(schedule, schedule.next_run, now)
        items = [build_item(schedule, moment, using=store.using, now=now) for moment in plan.times]
    except Exception as error:  # noqa: BLE001 - a zone unknown here, an engine's own check: it costs no other schedule
        _put_off(store.using, schedule, error, now)
        return 0
    done: dict[str, Any] = {"next_run": plan.upcoming, "fire_at": plan.upcoming, "failures": 0, "error": ""}
    if plan.skipped:
        logger.warning("schedule %s: runs from %s on were left out", schedule.name, schedule.next_run.isoformat())
        done["skipped_at"] = now
    made = _enqueue(store, items)
    if items:
        done |= {"last_run": plan.times[-1], "last_item": items[-1].id, "fired_total": schedule.fired_total + len(made)}
    _write(store.using, schedule, **done)
    return len(made)


def _due(using: str, pk: uuid.UUID) -> tuple[Schedule | None, dt.datetime]:
    """Lock a schedule; return it, or None where it is not due any more or somebody else has it, and the time."""
    locked = Schedule.objects.using(using).select_for_update(skip_locked=True, no_key=True)
    schedule = locked.filter(pk=pk, enabled=True, fire_at__isnull=False).first()
    now = clock.now(using)
    return (None if schedule is None or schedule.fire_at > now else schedule), now


def _plan(schedule: Schedule, since: dt.datetime, now: dt.datetime) -> Due:
    """Return what is to be fired now. Raises `InvalidInput` for a time zone that this host does not know."""
    return due(
        timetable(schedule),
        since,
        now,
        catch_up=schedule.catch_up,
        most=roost.SCHEDULE_CATCH_UP,
        grace=roost.SCHEDULE_GRACE_SECONDS,
    )


def _enqueue(store: Store, items: Sequence[NewItem]) -> set[uuid.UUID]:
    """Insert the items but those whose key is taken, which have been fired, and have workers woken at the commit."""
    made = store.insert(items)
    if made:
        told = partial(instrument.enqueued, store.using, made, due=True)
        transaction.on_commit(told, using=store.using, robust=True)
    return made


def _put_off_if_due(using: str, pk: uuid.UUID, error: Exception, found: Sequence[int]) -> None:
    """Put off a firing that the database refused, whose transaction is undone and whose lock is gone.

    Whatever became of it meanwhile stands: another worker fires it or has put it off, an operator paused or edited it,
    so that it has not the `row_version` any more that was `found` last.
    """
    schedule, now = _due(using, pk)
    if schedule is not None and schedule.row_version in (found[-1:] or [schedule.row_version]):
        _put_off(using, schedule, error, now)


def _put_off(using: str, schedule: Schedule, error: Exception, now: dt.datetime) -> None:
    """Keep a firing that is refused due, for later: what refuses it may be mended, and then it is made up for."""
    failures = schedule.failures + 1
    wait = min(MAX_WAIT, 2.0 ** min(failures, 16))
    words = f"{type(error).__name__}: {error}".replace("\x00", "")[:MAX_ERROR]
    logger.warning("schedule %s cannot fire, next attempt in %g s: %s", schedule.name, wait, words)
    _write(using, schedule, failures=failures, error=words, fire_at=now + dt.timedelta(seconds=wait))


def _write(using: str, schedule: Schedule, **values: Any) -> None:
    Schedule.objects.using(using).filter(pk=schedule.pk).update(**values)


def timetable(schedule: Schedule) -> Timetable:
    """Return when the schedule fires."""
    return Timetable(
        kind=schedule.kind,
        cron=schedule.cron,
        timezone=schedule.timezone,
        every=schedule.every or 0.0,
        anchor=schedule.anchor,
    )


def build_item(
    schedule: Schedule,
    moment: dt.datetime,
    *,
    using: str,
    key: str = "",
    actor: str = "",
    now: dt.datetime | None = None,
) -> NewItem:
    """Return the item of one intended time. Raises `InvalidInput`, `UnknownEngine`, `EngineLoadError`."""
    return build(
        schedule.engine,
        payload_at(schedule, moment),
        namespace=schedule.namespace,
        idempotency_key=f"schedule:{schedule.pk}:{key or moment.isoformat()}",
        actor=actor or f"schedule:{schedule.name}",
        using=using,
        now=now,
        **item_options.for_enqueue(schedule.options),
    )


def payload_at(schedule: Schedule, moment: dt.datetime) -> Any:
    """Return the payload of a firing, with the intended time if the schedule has a field for it."""
    if not schedule.time_field:
        return schedule.payload
    return {**(schedule.payload or {}), schedule.time_field: moment.isoformat()}
