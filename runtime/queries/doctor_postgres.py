"""Look whether PostgreSQL is well: vacuum, dead rows, indexes, what stands between, and the NOTIFY queue."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Literal

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from runtime import clock
from runtime.conf import settings as roost
from runtime.queries import vacuum
from runtime.queries.finding import Finding
from runtime.queries.words import span
from runtime.store.direct import told_pid

MANY_DEAD = 50_000
DEAD_SHARE = 0.5
"""Dead rows beside live ones, from which on a table is said to be full of them."""
LARGE_INDEX = 256 * 1024 * 1024
"""Bytes from which on an index that nobody reads is worth a word."""
WATCHED = dt.timedelta(days=7)
"""How long PostgreSQL has to have counted reads before nobody reads an index."""
NOTIFY_SHARE = 0.1
MOST = 5

DEAD_SQL = f"""
SELECT relname, n_live_tup, n_dead_tup, greatest(last_vacuum, last_autovacuum)
FROM pg_stat_user_tables
WHERE relname LIKE 'roost\\_%%' AND schemaname = ANY (current_schemas(false))
    AND n_dead_tup > %s AND n_dead_tup > n_live_tup * %s
ORDER BY n_dead_tup DESC LIMIT {MOST}
"""
# An index that CREATE or REINDEX INDEX CONCURRENTLY did not come to the end with is written to and never read.
INVALID_SQL = f"""
SELECT i.indexrelid::regclass::text, t.relname::text
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relname LIKE 'roost\\_%%' AND t.relnamespace = ANY (
        SELECT n.oid FROM pg_namespace n WHERE n.nspname = ANY (current_schemas(false))
    ) AND NOT (i.indisvalid AND i.indisready)
    AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
ORDER BY 1 LIMIT {MOST}
"""
UNUSED_SQL = f"""
SELECT s.indexrelname, pg_relation_size(s.indexrelid)
FROM pg_stat_user_indexes s JOIN pg_index i USING (indexrelid)
WHERE s.relname LIKE 'roost\\_%%' AND s.schemaname = ANY (current_schemas(false)) AND NOT i.indisunique
    AND s.idx_scan = 0 AND pg_relation_size(s.indexrelid) >= %s
    AND coalesce((SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()), 'epoch') <= %s
ORDER BY 2 DESC LIMIT {MOST}
"""
# Numbers of transactions that this server has not given out yet; one's own, in a test, aside.
RESTORED_SQL = """
SELECT EXISTS (
    SELECT FROM roost_event
    WHERE tx >= pg_snapshot_xmax(pg_current_snapshot()) AND tx IS DISTINCT FROM pg_current_xact_id_if_assigned()
) OR EXISTS (
    SELECT FROM roost_eventhorizon
    WHERE tx >= pg_snapshot_xmax(pg_current_snapshot()) AND tx IS DISTINCT FROM pg_current_xact_id_if_assigned()
)
"""
# 3 is the first number there is: every reader has seen it.
SETTLE_SQL = (
    "UPDATE roost_event SET tx = '3' WHERE tx >= pg_snapshot_xmax(pg_current_snapshot());",
    "DELETE FROM roost_eventhorizon WHERE tx >= pg_snapshot_xmax(pg_current_snapshot());",
)
PID_SQL = "SELECT pg_backend_pid()"

Pooling = Literal["none", "session", "transaction"]


def findings(using: str) -> Iterator[Finding]:
    """Run the checks; none on another database."""
    if connections[using].vendor == "postgresql":
        for check in _CHECKS:
            yield from check(using)


def notify_usage(using: str) -> float:
    """Return how full the queue of notices is, from 0 to 1. All databases of the server share it."""
    [[usage]] = _rows(using, "SELECT pg_notification_queue_usage()")
    return float(usage)


def pooling(using: str) -> Pooling:
    """Return what stands between this process and PostgreSQL.

    A pooler tells its clients process ids of its own, as it has to pass on their cancel requests. One that pools
    transactions gives this session's backend to another that begins one meanwhile.
    """
    connection = connections[using]
    connection.ensure_connection()
    own = _pid(connection)
    if told_pid(connection) == own:
        return "none"
    with closing(connection.copy()) as other:
        other.set_autocommit(False)
        _pid(other)
        return "session" if _pid(connection) == own else "transaction"


def _vacuum(using: str) -> Iterator[Finding]:
    found = vacuum.holders(using)
    for holder in found:
        yield Finding(check="vacuum", level="warning", text=holder.text, hint=holder.ending)
    if not found:
        yield Finding(check="vacuum", level="ok", text="Nobody holds back vacuum.")


def _dead_rows(using: str) -> Iterator[Finding]:
    found = _rows(using, DEAD_SQL, MANY_DEAD, DEAD_SHARE)
    now = clock.now(using)
    for table, live, dead, vacuumed in found:
        when = "never vacuumed" if vacuumed is None else f"vacuumed {span((now - vacuumed).total_seconds())} ago"
        yield Finding(
            check="dead rows",
            level="warning",
            text=f"{table} has {dead} dead rows beside {live} live ones, {when}.",
            hint=f"If nobody holds back vacuum: `ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02);`, "
            f"and `VACUUM {table};` once.",
        )
    if not found:
        yield Finding(check="dead rows", level="ok", text="No table is full of dead rows.")


def _indexes(using: str) -> Iterator[Finding]:
    invalid = _rows(using, INVALID_SQL)
    for index, table in invalid:
        yield Finding(
            check="indexes",
            level="problem",
            text=f"The index {index} of {table} is not valid: it is written to and never read.",
            hint=f"`REINDEX INDEX CONCURRENTLY {index};`, or `DROP INDEX CONCURRENTLY {index};` if its name ends in "
            f"_ccnew or _ccold.",
        )
    unused = _rows(using, UNUSED_SQL, LARGE_INDEX, clock.now(using) - WATCHED)
    for index, size in unused:
        yield Finding(
            check="indexes",
            level="warning",
            text=f"Nobody has read the index {index} ({size // 1024**2} MiB) since PostgreSQL counts.",
            hint="It may serve a page or a sweep that is rare here. See what a standby reads before you drop it.",
        )
    if not invalid and not unused:
        yield Finding(check="indexes", level="ok", text="All indexes are valid, and no large one is unread.")


def _pooler(using: str) -> Iterator[Finding]:
    direct = roost.DIRECT_DATABASE or using
    mode = pooling(direct)
    if mode == "transaction":
        yield Finding(
            check="pooler",
            level="problem",
            text=f"A pooler that pools transactions stands in front of {direct!r}: wake-ups and the liveness lock do "
            f"not pass it.",
            hint="Add an alias that reaches PostgreSQL directly, and set ROOST_DIRECT_DATABASE to it.",
        )
        return
    words = {"none": "No pooler stands", "session": "A pooler that pools sessions stands"}[mode]
    yield Finding(check="pooler", level="ok", text=f"{words} in front of {direct!r}.")


def _notify(using: str) -> Iterator[Finding]:
    usage = notify_usage(using)
    text = f"The NOTIFY queue is {usage:.1%} full."
    if usage <= NOTIFY_SHARE:
        yield Finding(check="notify", level="ok", text=text)
        return
    hint = (
        "A session that has LISTENed sits in a transaction and does not read: see pg_stat_activity for the oldest "
        "xact_start, and end it. When the queue is full, every transaction that notifies fails."
    )
    yield Finding(check="notify", level="problem" if usage > 0.5 else "warning", text=text, hint=hint)


def _restored(using: str) -> Iterator[Finding]:
    [[foreign]] = _rows(using, RESTORED_SQL)
    if not foreign:
        yield Finding(check="restored", level="ok", text="All events are of this server's transactions.")
        return
    yield Finding(
        check="restored",
        level="problem",
        text="Events carry numbers of transactions of another server, from which they were restored: whoever follows "
        "events is told to begin anew, again and again, or hears of old ones.",
        hint="Once after the restore: " + " ".join(f"`{statement}`" for statement in SETTLE_SQL),
    )


def _pid(connection: BaseDatabaseWrapper) -> int:
    with connection.cursor() as cursor:
        cursor.execute(PID_SQL)
        return int(cursor.fetchone()[0])


def _rows(using: str, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


_CHECKS: tuple[Callable[[str], Iterator[Finding]], ...] = (_vacuum, _dead_rows, _indexes, _pooler, _notify, _restored)
