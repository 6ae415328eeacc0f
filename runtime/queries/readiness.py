"""Say whether this process can serve: the database answers, its tables are as the code wants them, work is done."""

from __future__ import annotations

import time

from django.db import DatabaseError, connections

from runtime.queries import doctor, workers
from runtime.queries.finding import Finding
from runtime.store import work_database

MIGRATED_SECONDS = 60.0
"""How long it is believed that no migration is missed: to look reads every migration's file."""

_migrated_at: dict[str, float] = {}


def readiness(*, worker: bool = False, using: str | None = None) -> list[Finding]:
    """Look at what serving needs, `worker` also for a live worker; ready is who has no problem. Raises nothing."""
    using = using or work_database()
    found = [_answering(using)]
    if found[0].level == "ok":
        found.append(_migrations(using))
    if worker and all(one.level != "problem" for one in found):
        found.append(_live_worker(using))
    return found


def _answering(using: str) -> Finding:
    """Ask the database something: a connection that is there may be a dead one."""
    try:
        with connections[using].cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return Finding(check="database", level="problem", text=f"The database {using!r} does not answer: {error}")
    return Finding(check="database", level="ok", text=f"The database {using!r} answers.")


def _migrations(using: str) -> Finding:
    if time.monotonic() - _migrated_at.get(using, -MIGRATED_SECONDS) < MIGRATED_SECONDS:
        return Finding(check="migrations", level="ok", text="No migration was missed a moment ago.")
    try:
        found = doctor.migrations(using)
    except DatabaseError as error:
        return Finding(check="migrations", level="problem", text=f"Migrations cannot be looked at: {error}")
    if found.level != "problem":
        _migrated_at[using] = time.monotonic()
    return found


def _live_worker(using: str) -> Finding:
    try:
        ready = sum(view.takes_work for view in workers.views(using=using))
    except DatabaseError as error:
        return Finding(check="workers", level="problem", text=f"Workers cannot be looked at: {error}")
    text = f"{ready} live workers take work."
    return Finding(check="workers", level="ok" if ready else "problem", text=text, hint="Start `manage.py runworker`.")
