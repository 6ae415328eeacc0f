"""Take back what dead workers hold and end what is overdue, in bounded batches, one transaction each.

States stand in the text of the statements, as in the partial indexes that they use.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence

from django.db.models import Q

from runtime import clock
from runtime.choices import SUSPECT_DEATHS, EventKind, Reason, State, WorkerState
from runtime.conf import settings as roost
from runtime.models import Lease, Worker, WorkItem
from runtime.store import waking
from runtime.store.move import apply
from runtime.store.overdue_waits import expire, notice_children
from runtime.store.portable.giving_back import give_back
from runtime.store.portable.parked import wake_parked
from runtime.store.portable.statements import rows, stored
from runtime.store.settling import settle_parents
from runtime.store.transactions import transacted
from runtime.store.values import Move, SweepReport

PAST_DEADLINE = """
SELECT id FROM roost_workitem
WHERE deadline_at IS NOT NULL AND state IN ('queued', 'waiting', 'paused') AND deadline_at <= %s
ORDER BY deadline_at LIMIT %s
"""

TIMED_OUT = """
SELECT id FROM roost_workitem
WHERE state IN ('queued', 'running') AND timeout_at IS NOT NULL AND timeout_at <= %s
ORDER BY timeout_at LIMIT %s
"""


def sweep(
    using: str, dead: frozenset[uuid.UUID], living: frozenset[uuid.UUID], batch: int, *, only_dead: bool = False
) -> SweepReport:
    """Do one round of everything, at most `batch` items of each kind; `more` says that a kind had as many."""
    report = SweepReport()
    of_the_dead = Q(worker__in=dead)
    _recover(using, lambda now: of_the_dead if only_dead else _gone(dead, living, now), batch, report)
    _drop_revoked(using, lambda now: of_the_dead if only_dead else of_the_dead | Q(expires_at__lte=now), batch, report)
    _mark_offline(using, dead, report)
    if only_dead:
        return report
    report.overdue = _end(using, PAST_DEADLINE, _deadline, batch, report)
    report.timed_out = _end(using, TIMED_OUT, _timeout, batch, report)
    report.expired = expire(using, batch)
    report.more = report.more or report.expired >= batch
    woken = wake_parked(using, batch) + notice_children(using)
    report.woken += woken
    report.more = report.more or woken >= batch
    return report


# Leases ---------------------------------------------------------------------------------------------------------------


def _gone(dead: frozenset[uuid.UUID], living: frozenset[uuid.UUID], now: dt.datetime) -> Q:
    """Return the condition that a lease's holder is gone: known dead, or expired and not seen to be alive.

    Expiry alone says little here: a process of this machine may be held up by the one write lock. Whose process cannot
    be seen (before a restart of the machine, in another container, where there is no /proc) is gone when it expires.
    """
    return Q(worker__in=dead) | (Q(expires_at__lte=now) & ~Q(worker__in=living))


def _recover(using: str, gone: Callable[[dt.datetime], Q], batch: int, report: SweepReport) -> None:
    def found() -> list[uuid.UUID]:
        leases = Lease.objects.using(using).filter(gone(clock.now(using)), revoked_at=None)
        return list(leases.order_by("expires_at").values_list("pk", flat=True)[:batch])

    def once() -> list[uuid.UUID]:
        ids = found()
        freeing = waking.prepare(using, ids)
        leases = Lease.objects.using(using).in_bulk(ids)
        now = clock.now(using)
        for pk in ids:
            item, lease = freeing.items[pk], leases[pk]
            give_back(freeing, item, after_death(item, alone=lease.alone), now, worker=lease.worker_id)
            if item.state == State.FAILED:
                report.quarantined += 1
            else:
                report.recovered += 1
        report.woken += waking.finish(freeing, ids)
        report.more = report.more or len(ids) >= batch
        return ids

    if found():
        settle_parents(using, transacted(using, once))


def after_death(item: WorkItem, *, alone: bool) -> Move:
    """Return what becomes of an item whose owner ended without a committed step. Pure.

    It goes back to the queue with one death more; after two in company it runs alone, and with `ROOST_MAX_DEATHS` more
    of them, each while its process ran nothing else, it is poison and goes to the dead letters.
    """
    deaths = item.deaths + 1
    if alone and deaths >= SUSPECT_DEATHS + roost.MAX_DEATHS:
        last = roost.MAX_DEATHS
        message = f"{deaths} workers in a row ended while they ran this item, the last {last} running nothing else."
        error = {"type": "Poison", "code": Reason.POISON.value, "message": message}
        changes = {"deaths": deaths, "last_error": error, "fingerprint": Reason.POISON.value}
        return Move(kind=EventKind.FAILED, state=State.FAILED, reason=Reason.POISON, changes=changes, data=error)
    return Move(
        kind=EventKind.RECOVERED,
        state=State.QUEUED,
        reason=Reason.RECOVERED,
        changes={"deaths": deaths},
        data={"deaths": deaths},
    )


def _drop_revoked(using: str, over: Callable[[dt.datetime], Q], batch: int, report: SweepReport) -> None:
    """Drop leases that an operator revoked and nobody acknowledged in time; free what they guarded."""

    def found() -> list[uuid.UUID]:
        leases = Lease.objects.using(using).filter(over(clock.now(using)), revoked_at__isnull=False)
        leases = leases.order_by("expires_at")
        return list(leases.values_list("pk", flat=True)[:batch])

    def once() -> None:
        ids = found()
        freeing = waking.prepare(using, ids)
        Lease.objects.using(using).filter(pk__in=ids).delete()
        report.leases_dropped += len(ids)
        report.woken += waking.finish(freeing, ids)
        report.more = report.more or len(ids) >= batch

    if found():
        transacted(using, once)


def _mark_offline(using: str, dead: frozenset[uuid.UUID], report: SweepReport) -> None:
    """Mark dead workers as offline, once none of their leases is left for the next round."""
    held = Lease.objects.using(using).filter(worker__in=dead).values("worker")
    done = Worker.objects.using(using).filter(pk__in=dead).exclude(state=WorkerState.OFFLINE).exclude(pk__in=held)

    def once() -> None:
        now = clock.now(using)
        for worker in done:
            worker.compare_and_set(state=WorkerState.OFFLINE, stopped_at=now)
            report.workers_lost += 1

    if dead and done.exists():
        transacted(using, once)


# Clocks ---------------------------------------------------------------------------------------------------------------


def _end(using: str, query: str, fate: Callable[[WorkItem], Move], batch: int, report: SweepReport) -> int:
    """Fail the items that the query finds, each as `fate` says; return how many."""

    def found() -> Sequence[uuid.UUID]:
        return [uuid.UUID(row[0]) for row in rows(using, query, [stored(using, clock.now(using)), batch])]

    def once() -> Sequence[uuid.UUID]:
        ids = found()
        freeing = waking.prepare(using, ids)
        now = clock.now(using)
        for pk in ids:
            item = freeing.items[pk]
            report.woken += apply(freeing, item, fate(item), now)
        report.more = report.more or len(ids) >= batch
        return ids

    ended = transacted(using, once) if found() else ()
    settle_parents(using, ended)
    return len(ended)


def _deadline(item: WorkItem) -> Move:
    return overdue(Reason.DEADLINE, f"The deadline passed while the item was {item.state}.")


def _timeout(item: WorkItem) -> Move:
    return overdue(Reason.TIMEOUT, f"The item took longer than the {item.item_timeout} seconds that it may take.")


def overdue(reason: Reason, message: str) -> Move:
    """Return the move that sends an item to the dead letters because its time is over. Pure."""
    error = {"type": reason.name.title(), "code": reason.value, "message": message}
    changes = {"last_error": error, "fingerprint": reason.value}
    return Move(kind=EventKind.FAILED, state=State.FAILED, reason=reason, fence=True, changes=changes, data=error)
