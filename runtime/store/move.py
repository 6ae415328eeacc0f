"""Write one item's move, as an operator, the sweep or an answer decides. Shared by both stores.

The item's row is locked while the decision is made, so that what was decided is what happens; its clocks, its lease,
its claims and its waits follow from the change of state.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

from django.db import connections

from runtime import itemlines
from runtime.choices import TERMINAL, Reason, State, may_follow
from runtime.exceptions import Conflict, NotFound
from runtime.models import JournalEntry, Lease, Snapshot, WorkItem
from runtime.sentences import say as _
from runtime.store import offloading, triggered, waits, waking
from runtime.store.history import next_event, write_events
from runtime.store.values import Move
from runtime.store.waking import Freeing, drop_wanted

AWAY: frozenset[str] = frozenset({State.WAITING, State.PAUSED})
"""States in which an item's timeout stands still."""

RESTORE = """
INSERT INTO roost_snapshot (work_item_id, version, epoch, data, state_schema, label, restored_from, created_at)
SELECT work_item_id, %s, %s, data, state_schema, label, version, %s
FROM roost_snapshot WHERE work_item_id = %s AND version = %s
"""
"""Copies a snapshot's text inside the database, so that not a byte of the state changes."""


def apply(
    freeing: Freeing, item: WorkItem, move: Move, now: dt.datetime, *, actor: str = "", reason: str = "", **told: Any
) -> int:
    """Write a move of an item that `freeing` has locked, with its event; return how many waiters were woken.

    A running item that goes elsewhere is fenced: epoch + 1, its lease revoked, its claims kept until the worker lets
    go. Any other item's claims are freed at once, unless an earlier fence is still to be acknowledged.
    `told` are further columns of the event. Raises `Conflict` and writes nothing when the state may not follow.
    """
    using = freeing.using
    before, parked = item.state, is_parked(item)
    changes = changes_of(item, move, now)
    if item.state == State.RUNNING and changes.get("state", State.RUNNING) != State.RUNNING:
        changes["epoch"] = item.epoch + 1
        Lease.objects.using(using).filter(pk=item.pk, epoch=item.epoch).update(revoked_at=now)
    if move.restore is not None:
        changes |= _restore(using, item, move.restore, changes.get("epoch", item.epoch), now)
    for name, value in changes.items():
        setattr(item, name, value)
    event = next_event(item, move.kind, now, actor=actor, reason=reason or item.reason, data=move.data, **told)
    item.row_version += 1
    item.updated_at = now
    counted = {"event_seq": item.event_seq, "row_version": item.row_version, "updated_at": now}
    WorkItem.objects.using(using).filter(pk=item.pk).update(**changes, **counted)
    write_events(using, [event])
    if move.forget:
        _forget_calls(using, item, move.forget)
    if item.asked and (move.restore is not None or item.state in TERMINAL):
        _end_waits(using, item, restored=move.restore is not None)
    if item.state == State.FAILED and before != State.FAILED:
        itemlines.failed(using, item, told.get("worker"))
    if item.state in triggered.FOLLOWED and before != item.state:
        triggered.follow(using, [item])
    if parked and not is_parked(item):
        drop_wanted(using, item.pk)
    if move.free:
        waking.drop(using, item.pk, move.free)
    over = before != State.RUNNING and item.state in TERMINAL
    ended = [item.pk] if over and not Lease.objects.using(using).filter(pk=item.pk).exists() else []
    return waking.finish(freeing, ended) if ended or move.free else 0


def _forget_calls(using: str, item: WorkItem, calls: Collection[int]) -> None:
    """Have recorded calls made anew. What people were asked about them, and said, is about no call to come."""
    entries = JournalEntry.objects.using(using).filter(work_item=item.pk, pk__in=calls)
    waits.forget_doubts(using, item, set(entries.values_list("key", flat=True)))
    entries.delete()


def _end_waits(using: str, item: WorkItem, *, restored: bool) -> None:
    """Take back what nobody has answered; from another state, the answers too. What was answered outlives a failure."""
    if restored:
        waits.forget(using, item.pk)
        WorkItem.objects.using(using).filter(pk=item.pk).update(asked=False)
        item.asked = False
    else:
        waits.withdraw(using, [item.pk])


def is_parked(item: WorkItem) -> bool:
    """Say whether the item waits for a resource."""
    return bool(item.state == State.QUEUED and item.reason == Reason.RESOURCE)


def changes_of(item: WorkItem, move: Move, now: dt.datetime) -> dict[str, Any]:
    """Return the column values that a move comes to, for the item as it is. Pure; raises `Conflict`."""
    if move.fence and item.state == State.RUNNING and move.state in (None, State.RUNNING):
        raise ValueError(f"A move that fences the running item {item.pk} must say which state it goes to.")
    changes: dict[str, Any] = {}
    if move.clear_errors:
        changes |= {"attempt": 0, "deaths": 0, "last_error": None, "fingerprint": ""}
        changes |= {"acknowledged_at": None, "acknowledged_by": ""}
    if move.reason is not None:
        changes["reason"] = move.reason
    if move.state is not None:
        changes |= _change_of_state(item, move, now)
    return changes | move.changes


def _change_of_state(item: WorkItem, move: Move, now: dt.datetime) -> dict[str, Any]:
    before, after = item.state, str(move.state)
    if not may_follow(before, after):
        raise Conflict(
            _(
                "The work item %(item)s is %(before)s; from there it cannot become %(after)s.",
                item=item.pk,
                before=before,
                after=after,
            ),
            state=before,
        )
    changes: dict[str, Any] = {"state": after, "pause_requested": False}
    if move.reason is None:
        changes["reason"] = Reason.REQUEUED.value if after == State.QUEUED else ""
    if after == State.QUEUED and move.delay is not None:
        changes["run_at"] = now + dt.timedelta(seconds=move.delay)
    if after == State.PAUSED:
        changes["paused_from"] = State.QUEUED.value if before == State.RUNNING else before
    elif before == State.PAUSED:
        changes["paused_from"] = ""
    if before in TERMINAL:
        changes |= _back_to_life(item, now)
    return changes | _clocks(item, before, after, now)


def _clocks(item: WorkItem, before: str, after: str, now: dt.datetime) -> dict[str, Any]:
    """Let the time spent waiting and paused not count into the item's timeout; mark the end."""
    changes: dict[str, Any] = {}
    if after in AWAY and before not in AWAY:
        changes["away_since"] = now
    elif before in AWAY and after not in AWAY and item.away_since is not None:
        away = now - item.away_since
        changes |= {"away_since": None, "away_total": item.away_total + away.total_seconds()}
        if item.timeout_at is not None:
            changes["timeout_at"] = item.timeout_at + away
    if after in TERMINAL:
        changes["finished_at"] = now
    return changes


def _back_to_life(item: WorkItem, now: dt.datetime) -> dict[str, Any]:
    """Clear the marks of the end. The timeout starts anew with the next claim; a deadline that has passed is over."""
    changes: dict[str, Any] = {"finished_at": None, "result": None, "timeout_at": None, "away_since": None}
    if item.deadline_at is not None and item.deadline_at <= now:
        changes["deadline_at"] = None
    return changes


def _restore(using: str, item: WorkItem, version: int, epoch: int, now: dt.datetime) -> dict[str, Any]:
    """Append the data of Snapshot `version` as the item's next version. Raises `NotFound`."""
    connection = connections[using]
    key = WorkItem._meta.pk.get_db_prep_value(item.pk, connection)
    moment = WorkItem._meta.get_field("updated_at").get_db_prep_value(now, connection)
    with connection.cursor() as cursor:
        cursor.execute(RESTORE, [item.version + 1, epoch, moment, key, version])
        if not cursor.rowcount:
            raise NotFound(
                _("The work item %(item)s has no snapshot of version %(version)s.", item=item.pk, version=version)
            )
    offloading.copy_state(using, (item.pk, version), (item.pk, item.version + 1))
    restored = Snapshot.objects.using(using).only("version", "label").get(work_item=item.pk, version=item.version + 1)
    return {"version": restored.version, "step_label": restored.label}
