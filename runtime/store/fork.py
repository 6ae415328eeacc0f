"""Begin an item where another one has been. Shared by both stores.

Both rows stand locked in one transaction: the original by `lock_original`, the fork because nobody sees it before the
commit. So the snapshot that was looked at is the one that is copied, and neither a commit nor a second fork comes in
between.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from django.db import connections

from runtime import jsondata
from runtime.choices import EventKind
from runtime.exceptions import NotFound
from runtime.models import Snapshot, WorkItem
from runtime.sentences import say as _
from runtime.store import offloading
from runtime.store.history import lock_items, next_event, write_events

COPY = """
INSERT INTO roost_snapshot (work_item_id, version, epoch, data, state_schema, label, created_at)
SELECT %s, 0, 0, data, state_schema, label, %s FROM roost_snapshot WHERE work_item_id = %s AND version = %s
"""
"""Copies a snapshot's text inside the database, so that not a byte of the state changes."""


def lock_original(using: str, item: uuid.UUID) -> WorkItem:
    """Lock the item that is to be forked and return it. Call it first in the transaction. Raises `NotFound`."""
    found = lock_items(using, [item]).get(item)
    if found is None:
        raise NotFound(_("There is no work item %(item)s.", item=item))
    return found


def write(
    using: str,
    original: WorkItem,
    fork: uuid.UUID,
    version: int,
    state: str | None,
    now: dt.datetime,
    *,
    actor: str = "",
    reason: str = "",
    click: str = "",
) -> None:
    """Let the item `fork`, just inserted, go on from Snapshot `version` of the locked original, and tell both.

    Its Snapshot 0 is a copy, or `state` (JSON text) where the state was edited. The original gets its event and
    nothing else. Raises `NotFound` when that snapshot is gone.
    """
    _begin(using, original.pk, fork, version, state, now)
    made = WorkItem.objects.using(using).get(pk=fork)
    made.forked_from_id, made.forked_version = original.pk, version
    told: dict[str, Any] = {"actor": actor, "reason": reason}
    facts: dict[str, Any] = {"version": version, "edited": state is not None, **({"click": click} if click else {})}
    events = [
        next_event(made, EventKind.FORKED, now, data={"from": str(original.pk), **facts}, **told),
        next_event(original, EventKind.FORKED, now, data={"fork": str(fork), **facts}, **told),
    ]
    made.save(using=using, update_fields=["forked_from", "forked_version", "event_seq"])
    original.row_version += 1
    original.updated_at = now
    original.save(using=using, update_fields=["event_seq", "row_version", "updated_at"])
    write_events(using, events)


def _begin(using: str, original: uuid.UUID, fork: uuid.UUID, version: int, state: str | None, now: dt.datetime) -> None:
    connection = connections[using]
    key, source = (WorkItem._meta.pk.get_db_prep_value(one, connection) for one in (fork, original))
    moment = WorkItem._meta.get_field("updated_at").get_db_prep_value(now, connection)
    with connection.cursor() as cursor:
        cursor.execute(COPY, [key, moment, source, version])
        if not cursor.rowcount:
            raise NotFound(
                _(
                    "The work item %(original)s has no snapshot of version %(version)s.",
                    original=original,
                    version=version,
                )
            )
    if state is None:
        offloading.copy_state(using, (original, version), (fork, 0))
    else:
        Snapshot.objects.using(using).filter(work_item=fork, version=0).update(data=jsondata.loads(state))
