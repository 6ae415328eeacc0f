"""Read the events of all items through a cursor that misses nothing.

Event ids are given out before their transactions commit, so they become visible out of order: "everything after the
last id I saw" misses the event whose transaction took longer. On PostgreSQL a cursor is therefore a `pg_snapshot`,
and what comes next are the events whose transaction that snapshot could not see yet. When more events are new than
one page takes, the cursor names both snapshots and the last id in between. SQLite has one writer at a time, so there
the row id is the order.

An event may be told twice (after a reset, or when a reader repeats a read): deduplicate by (item, seq).
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from dataclasses import dataclass

from django.db import connections

from runtime.models import Event
from runtime.queries.page import checked_limit
from runtime.store import work_database
from runtime.store.horizon import read as horizon_of

_SNAPSHOT = r"\d{1,19}:\d{1,19}:[\d,]*"
_POSTGRES = re.compile(rf"p({_SNAPSHOT})(?:~({_SNAPSHOT})~(\d{{1,18}}))?", re.ASCII)
_SQLITE = re.compile(r"s(\d{1,18})(\+?)", re.ASCII)
EVERYTHING = "3:3:"
"""The snapshot that has seen no transaction yet."""

NEWEST_SQL = """
SELECT pg_current_snapshot()::text, pg_snapshot_xmax(pg_current_snapshot())::text::numeric
"""

# The first condition is what the index on tx can use; the second is exact, the third keeps to the page's upper bound.
NEXT_SQL = """
SELECT id FROM roost_event
WHERE tx >= pg_snapshot_xmin(%(old)s::pg_snapshot)
  AND NOT pg_visible_in_snapshot(tx, %(old)s::pg_snapshot)
  AND pg_visible_in_snapshot(tx, %(new)s::pg_snapshot)
  AND id > %(last)s
ORDER BY id
LIMIT %(limit)s
"""

SEQUENCE_SQL = "SELECT seq FROM sqlite_sequence WHERE name = 'roost_event'"


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedEvent:
    """One event, without its data: whoever may read that reads it from the item's timeline."""

    item: uuid.UUID
    namespace: str
    engine: str
    seq: int
    kind: str
    version: int
    epoch: int
    actor: str
    worker: uuid.UUID | None
    at: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class FeedPage:
    """New events and the cursor for what comes after them.

    `more` says that the next page is there already. `reset` says that the cursor was unknown here (another database,
    a restored dump, nonsense) or so old that events after it have been pruned: read afresh what you show; `cursor`
    starts now. Who reads from the beginning of history is told what is left of it.
    """

    events: tuple[FeedEvent, ...]
    cursor: str
    more: bool = False
    reset: bool = False


def start(*, beginning: bool = False, using: str | None = None) -> str:
    """Return the cursor of this moment, or of the beginning of all history."""
    using = using or work_database()
    if connections[using].vendor == "postgresql":
        return f"p{EVERYTHING if beginning else _newest(using)[0]}"
    return "s0+" if beginning else f"s{_last_row(using)}"


def is_cursor(text: str) -> bool:
    """Say whether the text is written as a cursor is; `read` tells whether it is one of this database."""
    return bool(_POSTGRES.fullmatch(text) or _SQLITE.fullmatch(text))


def read(cursor: str, *, limit: int = 500, using: str | None = None) -> FeedPage:
    """Return the events that committed since the cursor was given, at most `limit`."""
    using = using or work_database()
    checked_limit(limit)
    if connections[using].vendor == "postgresql":
        return _read_postgres(cursor, limit, using)
    return _read_sqlite(cursor, limit, using)


def _read_postgres(cursor: str, limit: int, using: str) -> FeedPage:
    parts = _POSTGRES.fullmatch(cursor)
    newest, horizon = _newest(using)
    if parts is None or not _known(parts[1], horizon) or not _known(parts[2] or parts[1], horizon):
        return FeedPage(events=(), cursor=f"p{newest}", reset=True)
    old, new, last = parts[1], parts[2] or newest, int(parts[3] or 0)
    with connections[using].cursor() as db:
        db.execute(NEXT_SQL, {"old": old, "new": new, "last": last, "limit": limit + 1})
        ids = [row[0] for row in db.fetchall()]
    # A transaction that was open when the cursor was given holds it back: rather a reset too many than a gap.
    if old != EVERYTHING and horizon_of(using)[1] >= int(old.split(":")[0]):
        return FeedPage(events=(), cursor=f"p{newest}", reset=True)
    if len(ids) <= limit:
        # A page that ends at an earlier snapshot than now leaves what committed since to the next read.
        return FeedPage(events=_load(ids, using), cursor=f"p{new}", more=new != newest)
    return FeedPage(events=_load(ids[:limit], using), cursor=f"p{old}~{new}~{ids[limit - 1]}", more=True)


def _known(snapshot: str, horizon: int) -> bool:
    low, high, inside = snapshot.split(":")
    running = [int(one) for one in inside.split(",")] if inside else []
    ordered = running == sorted(set(running)) and all(int(low) <= one < int(high) for one in running)
    return ordered and 0 < int(low) <= int(high) <= horizon


def _newest(using: str) -> tuple[str, int]:
    with connections[using].cursor() as db:
        db.execute(NEWEST_SQL)
        snapshot, horizon = db.fetchone()
    return snapshot, int(horizon)


def _read_sqlite(cursor: str, limit: int, using: str) -> FeedPage:
    parts = _SQLITE.fullmatch(cursor)
    newest = _last_row(using)
    if parts is None or int(parts[1]) > newest:
        return FeedPage(events=(), cursor=f"s{newest}", reset=True)
    found = Event.objects.using(using).filter(pk__gt=int(parts[1])).order_by("pk")
    ids = list(found.values_list("pk", flat=True)[: limit + 1])
    if not parts[2] and int(parts[1]) < horizon_of(using)[0]:
        return FeedPage(events=(), cursor=f"s{newest}", reset=True)
    if len(ids) <= limit:
        return FeedPage(events=_load(ids, using), cursor=f"s{max([newest, *ids[-1:]])}")
    page = ids[:limit]
    return FeedPage(events=_load(page, using), cursor=f"s{page[-1]}{parts[2]}", more=True)


def _last_row(using: str) -> int:
    """Return the highest row id ever given out: one that is pruned by now still counts."""
    with connections[using].cursor() as db:
        db.execute(SEQUENCE_SQL)
        row = db.fetchone()
    return int(row[0]) if row else 0


def _load(ids: list[int], using: str) -> tuple[FeedEvent, ...]:
    columns = ("work_item_id", "work_item__namespace", "work_item__engine", "seq", "kind", "version", "epoch")
    rows = (
        Event.objects.using(using)
        .filter(pk__in=ids)
        .order_by("pk")
        .values_list(*columns, "actor", "worker", "created_at")
    )
    return tuple(
        FeedEvent(
            item=row[0],
            namespace=row[1],
            engine=row[2],
            seq=row[3],
            kind=row[4],
            version=row[5],
            epoch=row[6],
            actor=row[7],
            worker=row[8],
            at=row[9],
        )
        for row in rows
    )
