"""Find workers that are gone for certain, and end what is left of them in the database.

Dead for certain is a worker whose process this one can see to be gone, or (on PostgreSQL) whose liveness lock is free
while its heartbeat is older than two beats, and both the server and the lock of somebody living have been up long
enough for the living to have come back.
"""

from __future__ import annotations

import uuid

from django.db import connections

from runtime import clock
from runtime.choices import WorkerState
from runtime.conf import settings as roost
from runtime.models import Worker
from runtime.store.postgres.arrays import plain
from runtime.store.postgres.look import LOOK, PARTS
from runtime.store.postgres.session import rows
from runtime.worker import liveness

SETTLING_BEATS = 3
SETTLED_SQL = "SELECT pg_postmaster_start_time() < statement_timestamp() - make_interval(secs => %s)"

# A standby that is promoted has been up for long, and knows of no session's lock: that one is free says something only
# where somebody living has held his on this very server for as long.
FREE_LOCK_SQL = """
WITH held AS (
    SELECT (classid::bigint << 32) | objid::bigint AS key, pid
    FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT w.id
FROM roost_worker w
WHERE w.state <> 'offline'
  AND w.lock_key IS NOT NULL
  AND w.heartbeat_at < statement_timestamp() - make_interval(secs => %(silence)s)
  AND NOT EXISTS (SELECT 1 FROM held WHERE held.key = w.lock_key)
  AND pg_postmaster_start_time() < statement_timestamp() - make_interval(secs => %(uptime)s)
  AND EXISTS (
      SELECT 1 FROM held
      JOIN roost_worker living ON living.lock_key = held.key AND living.state <> 'offline'
      JOIN pg_stat_activity session ON session.pid = held.pid
      WHERE session.backend_start < statement_timestamp() - make_interval(secs => %(uptime)s)
  )
"""

# Ends the database sessions of workers that are dead, or silent and hold a lease that has expired: fencing alone would
# leave the rows that their atomic steps have locked. A lease that an operator revoked, or whose row somebody keeps
# locked, expires also while its worker lives, whose other steps must not pay for it.
END_SESSIONS_SQL = """
SELECT pg_terminate_backend(a.pid)
FROM roost_worker w
CROSS JOIN LATERAL jsonb_array_elements(w.backend_pids) AS b
JOIN pg_stat_activity a ON a.pid = (b->>0)::int AND a.backend_start::text = b->>1
WHERE w.state <> 'offline'
  AND (w.id = ANY(%(dead)s)
       OR NOT %(only_dead)s AND w.heartbeat_at < statement_timestamp() - make_interval(secs => %(silence)s)
           AND EXISTS (
               SELECT 1 FROM roost_lease l WHERE l.worker_id = w.id AND l.expires_at < statement_timestamp()
           ))
"""

# Everything that could call for a sweep, in the one statement that an idle worker sends: the workers to look at, and
# whether there is a lease, an item or a resource to see to. Read by `is_quiet`.
QUIET_SQL = f"""
SELECT w.id, w.boot_id, w.pid_namespace, w.pid, w.process_started,
    w.heartbeat_at < statement_timestamp() - %s::float8 * interval '1 second' AS silent, found.any
FROM (SELECT EXISTS ({LOOK}) AS any) found
LEFT JOIN roost_worker w ON w.state <> 'offline' AND w.id <> %s::uuid
"""


def is_quiet(using: str, me: uuid.UUID) -> bool:
    """Say, with one statement, that no worker can be dead and a sweep would find nothing. SQLite is never quiet."""
    if connections[using].vendor != "postgresql":
        return False
    found = rows(using, QUIET_SQL, [str(2 * roost.HEARTBEAT_SECONDS), plain([]), *["1"] * PARTS, me])
    return not any(anything or (worker and _may_be_dead(worker, *rest)) for worker, *rest, anything in found)


def _may_be_dead(worker: uuid.UUID, boot: str, namespace: str, pid: int, started: str, silent: bool) -> bool:
    seen = liveness.exists(Worker(id=worker, boot_id=boot, pid_namespace=namespace, pid=pid, process_started=started))
    return silent if seen is None else not seen


def is_settled(using: str) -> bool:
    """Say whether the database has been up long enough for every living worker to have renewed its leases since."""
    if connections[using].vendor != "postgresql":
        return True
    with connections[using].cursor() as cursor:
        cursor.execute(clock.sql(SETTLED_SQL), [SETTLING_BEATS * roost.HEARTBEAT_SECONDS])
        return bool(cursor.fetchone()[0])


def find_dead(using: str, me: uuid.UUID) -> list[uuid.UUID]:
    """Return the ids of workers, not yet marked offline, that are dead for certain.

    Also right after a restart of the database, when a lease that has expired says nothing.
    """
    others = Worker.objects.using(using).exclude(state=WorkerState.OFFLINE).exclude(pk=me)
    dead: set[uuid.UUID] = set()
    alive: set[uuid.UUID] = set()
    for worker in others.only("id", "boot_id", "pid_namespace", "pid", "process_started"):
        found = liveness.exists(worker)
        if found is not None:
            (alive if found else dead).add(worker.pk)
    if connections[using].vendor == "postgresql":
        beat = roost.HEARTBEAT_SECONDS
        with connections[using].cursor() as cursor:
            cursor.execute(clock.sql(FREE_LOCK_SQL), {"silence": 2 * beat, "uptime": 5 * beat})
            dead |= {row[0] for row in cursor.fetchall()} - alive - {me}
    return sorted(dead)


def find_living(using: str) -> list[uuid.UUID]:
    """Return the ids of workers whose process this one sees to be alive; on PostgreSQL nobody asks.

    On SQLite a process may be held up past its lease by the one write lock and is still the owner of its items.
    """
    if connections[using].vendor == "postgresql":
        return []
    workers = Worker.objects.using(using).exclude(state=WorkerState.OFFLINE)
    return [worker.pk for worker in workers if liveness.exists(worker)]


def end_sessions(using: str, dead: list[uuid.UUID], *, only_dead: bool = False) -> int:
    """End the PostgreSQL sessions of dead workers and, unless `only_dead`, of silent ones whose leases expired.

    Returns how many.
    """
    if connections[using].vendor != "postgresql":
        return 0
    with connections[using].cursor() as cursor:
        cursor.execute(
            clock.sql(END_SESSIONS_SQL), {"dead": dead, "silence": roost.LEASE_SECONDS, "only_dead": only_dead}
        )
        return len(cursor.fetchall())
