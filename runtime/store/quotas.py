"""Count the calls that a quota allows: from the journal's own rows, in the transaction that begins the next one.

Whoever begins a call under a quota of a namespace holds the lock of that name there until the commit (an advisory one
on PostgreSQL, the only write lock on SQLite), and counts after it has the lock: two workers never take the last place
both. The quota of a run needs no lock, since one worker owns the item.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from django.db import connections
from django.db.models import QuerySet

from runtime import clock
from runtime.journal import Quota
from runtime.journal.entries import Answer, Begin, Found, Write
from runtime.models import JournalEntry, WorkItem

LOCK = "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key"

Scope = tuple[str, uuid.UUID | str]
"""What calls are counted in: their name, and the item or the namespace."""


def apply_to(writes: Iterable[Write]) -> bool:
    """Say whether any of the writes is under a quota."""
    return any(isinstance(write, Begin) and write.quotas for write in writes)


def within(using: str, writes: Sequence[Write], journal: Callable[[str, Sequence[Write]], list[Found]]) -> list[Found]:
    """Write by `journal` what the quotas allow, and answer the rest as SPENT. In the caller's transaction."""
    refused = _refused(using, [write for write in writes if isinstance(write, Begin) and write.quotas])
    allowed = [write for write in writes if write.call not in refused]
    answers = refused | dict(zip([write.call for write in allowed], journal(using, allowed), strict=True))
    return [answers[write.call] for write in writes]


def _refused(using: str, begins: Sequence[Begin]) -> dict[uuid.UUID, Found]:
    if not begins:
        return {}
    items = {begin.place.item for begin in begins}
    namespaces = dict(WorkItem.objects.using(using).filter(pk__in=items).values_list("pk", "namespace"))
    _lock(using, begins, namespaces)
    admitted: Counter[tuple[Quota, Scope]] = Counter()
    refused: dict[uuid.UUID, Found] = {}
    for begin in begins:
        if begin.place.item not in namespaces or _is_recorded(using, begin):
            continue
        scopes = [(quota, _scope(quota, begin, namespaces)) for quota in begin.quotas]
        spent = (_spent(using, quota, scope, admitted[quota, scope]) for quota, scope in scopes)
        found = next((answer for answer in spent if answer is not None), None)
        if found is None:
            admitted.update(scopes)
        else:
            refused[begin.call] = found
    return refused


def _lock(using: str, begins: Sequence[Begin], namespaces: dict[uuid.UUID, str]) -> None:
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    scopes = {
        _scope(quota, begin, namespaces)
        for begin in begins
        for quota in begin.quotas
        if quota.seconds is not None and begin.place.item in namespaces
    }
    if scopes:
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [sorted(_lock_key(*scope) for scope in scopes)])


def _lock_key(name: str, namespace: uuid.UUID | str) -> int:
    digest = hashlib.blake2b(f"roost:quota:{namespace}:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _scope(quota: Quota, begin: Begin, namespaces: dict[uuid.UUID, str]) -> Scope:
    item = begin.place.item
    return begin.name, item if quota.seconds is None else namespaces[item]


def _is_recorded(using: str, begin: Begin) -> bool:
    place = begin.place
    there = JournalEntry.objects.using(using).filter(
        work_item_id=place.item, base_version=place.base_version, key=place.key
    )
    return bool(there.exists())


def _spent(using: str, quota: Quota, scope: Scope, admitted: int) -> Found | None:
    """Return the answer to a call for which there is no place; None when there is one."""
    last = quota.most - 1 - admitted
    if last < 0:
        return Found(answer=Answer.SPENT, quota=quota, retry_after=quota.seconds)
    now = clock.now(using)
    counted = _counted(using, quota, scope, now).order_by("-started_at")
    oldest = counted.values_list("started_at", flat=True)[last : last + 1].first()
    if oldest is None:
        return None
    left = None if quota.seconds is None else quota.seconds - (now - oldest).total_seconds()
    return Found(answer=Answer.SPENT, quota=quota, retry_after=left)


def _counted(using: str, quota: Quota, scope: Scope, now: dt.datetime) -> QuerySet[JournalEntry]:
    name, where = scope
    named: QuerySet[JournalEntry] = JournalEntry.objects.using(using).filter(name=name)
    if quota.seconds is None:
        return named.filter(work_item__pk=where)
    return named.filter(work_item__namespace=where, started_at__gt=now - dt.timedelta(seconds=quota.seconds))
