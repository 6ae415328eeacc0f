"""Look whether this installation is able to work: one finding for each thing looked at.

Every check stands alone and is never hidden by another's failure, except that nothing can be said about tables
before the database answers and is migrated.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Iterator

from django.core.files.base import ContentFile
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Min
from django.utils import timezone

from runtime import artifacts, clock
from runtime.choices import PARKED, SUSPECT_DEATHS, State, WaitState
from runtime.conf import settings as roost
from runtime.models import Lease, Schedule, Wait, WorkItem
from runtime.queries import attention, doctor_postgres, growth, workers
from runtime.queries.finding import Finding
from runtime.queries.words import span
from runtime.store import work_database

SKEW_SECONDS = 2.0
OVERDUE_SECONDS = 60.0
SHOWN = 5
AFTER_OLD_CODE = re.compile(r"\d{4}_post_")
"""Migrations that take away what only old code needs, which has to be gone first."""


def findings(*, using: str | None = None) -> list[Finding]:
    """Run all checks. Writes and removes one small file in the artifact storage, nothing else."""
    using = using or work_database()
    found = [database(using)]
    if found[0].level != "problem":
        found.append(migrations(using))
    if all(finding.level != "problem" for finding in found):
        found += [finding for check in _TABLES for finding in check(using)]
        found += doctor_postgres.findings(using)
    return [*found, _storage()]


def database(using: str) -> Finding:
    """Look whether the database answers."""
    try:
        connections[using].ensure_connection()
    except DatabaseError as error:
        first = str(error).strip().splitlines()[:1]
        return Finding(
            check="database",
            level="problem",
            text=f"The database {using!r} does not answer: {''.join(first)}",
            hint="Start it, or correct DATABASES.",
        )
    return Finding(check="database", level="ok", text=f"The database {using!r} ({connections[using].vendor}) answers.")


def migrations(using: str) -> Finding:
    """Look whether Roost's tables are as this code wants them: one named `…_post_…` may wait until old code is gone."""
    executor = MigrationExecutor(connections[using])
    leaves = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "roost"]
    missing = [migration.name for migration, _ in executor.migration_plan(leaves) if migration.app_label == "roost"]
    if not missing:
        return Finding(check="migrations", level="ok", text="All migrations of Roost are applied.")
    text = f"Migrations of Roost are not applied: {', '.join(missing)}."
    migrate = f"Run `manage.py migrate --database {using}`"
    if all(AFTER_OLD_CODE.match(name) for name in missing):
        hint = f"{migrate} once no process of the old release runs: the code here does without."
        return Finding(check="migrations", level="warning", text=text, hint=hint)
    return Finding(check="migrations", level="problem", text=text, hint=f"{migrate}.")


def _clock(using: str) -> Iterator[Finding]:
    before = timezone.now()
    there = clock.now(using)
    after = timezone.now()
    skew = abs((there - (before + (after - before) / 2)).total_seconds())
    text = f"This host's clock and the database's differ by {span(skew)}."
    if skew > SKEW_SECONDS:
        hint = "Roost goes by the database's clock; logs and pages of this host will look odd. Run NTP on both."
        yield Finding(check="clock", level="warning", text=text, hint=hint)
    else:
        yield Finding(check="clock", level="ok", text=text)


def _journal_mode(using: str) -> Iterator[Finding]:
    if connections[using].vendor != "sqlite":
        return
    with connections[using].cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if mode.lower() in {"wal", "memory"}:
        yield Finding(check="sqlite", level="ok", text=f"SQLite's journal mode is {mode}.")
    else:
        hint = 'Set OPTIONS["init_command"] = "PRAGMA journal_mode=WAL" so that readers do not block workers.'
        yield Finding(check="sqlite", level="warning", text=f"SQLite's journal mode is {mode}, not wal.", hint=hint)


def _workers(using: str) -> Iterator[Finding]:
    views = workers.views(using=using)
    alive = [view for view in views if view.takes_work]
    queued = WorkItem.objects.using(using).filter(state=State.QUEUED).order_by()
    lanes = queued.values_list("engine", "pool").annotate(Count("pk")).order_by("engine", "pool")
    stranded = [lane for lane in lanes if not workers.offering(lane[0], lane[1], among=alive)]
    for engine, pool, count in stranded:
        yield Finding(
            check="workers",
            level="problem",
            text=f"{count} queued items of engine {engine!r} in pool {pool!r}, and no live worker offers that.",
            hint="Start `manage.py runworker`.",
        )
    if not stranded:
        yield Finding(check="workers", level="ok", text=f"{len(alive)} live workers; every queued item has one.")


def _leases(using: str) -> Iterator[Finding]:
    late = clock.now(using) - dt.timedelta(seconds=roost.LEASE_SECONDS)
    count = Lease.objects.using(using).filter(expires_at__lt=late).count()
    if count:
        hint = "Any live worker sweeps them within a second: start one, or run `roost sweep`."
        yield Finding(check="leases", level="problem", text=f"{count} leases expired long ago.", hint=hint)
    else:
        yield Finding(check="leases", level="ok", text="No lease is overdue.")


def _due(using: str) -> Iterator[Finding]:
    now = clock.now(using)
    queued = WorkItem.objects.using(using).filter(state=State.QUEUED, run_at__lte=now).exclude(reason__in=PARKED)
    oldest = queued.aggregate(oldest=Min("run_at"))["oldest"]
    if oldest is None:
        yield Finding(check="due", level="ok", text="Nothing is due.")
        return
    age = (now - oldest).total_seconds()
    text = f"The oldest due item has waited for {span(age)}."
    if age > OVERDUE_SECONDS:
        hint = "See `roost list --state queued` and `roost why ID`; more workers may be needed."
        yield Finding(check="due", level="warning", text=text, hint=hint)
    else:
        yield Finding(check="due", level="ok", text=text)


def _parked(using: str) -> Iterator[Finding]:
    count = WorkItem.objects.using(using).filter(state=State.QUEUED, reason__in=PARKED).count()
    hint = "`roost resources` shows who holds what they need." if count else ""
    yield Finding(check="parked", level="ok", text=f"{count} items are parked until a resource is free.", hint=hint)


def _dead(using: str) -> Iterator[Finding]:
    count = WorkItem.objects.using(using).filter(state=State.FAILED, acknowledged_at=None).count()
    if count:
        hint = "`roost dead list` shows them; redrive or acknowledge them."
        yield Finding(check="dead", level="warning", text=f"{count} dead letters are not acknowledged.", hint=hint)
    else:
        yield Finding(check="dead", level="ok", text="No dead letter waits for anybody.")


def _failing(using: str) -> Iterator[Finding]:
    groups = attention.failing(using=using)
    for group in groups:
        text = f"{group.count} items of engine {group.engine!r} have failed and will be tried again."
        yield Finding(
            check="failing", level="ok", text=text, hint=f"`roost list --engine {group.engine} --reason retry`."
        )
    if not groups:
        yield Finding(check="failing", level="ok", text="No item is being tried again.")


def _held(using: str) -> Iterator[Finding]:
    groups = attention.held(using=using)
    for group in groups:
        yield Finding(
            check="held",
            level="warning",
            text=f"{group.count} items of engine {group.engine!r}, version {group.version}, wait for code that goes on "
            f"with them.",
            hint="`roost why ID` says what the code objects to; `roost preflight` asks the code that is here.",
        )
    if not groups:
        yield Finding(check="held", level="ok", text="No item waits for other code.")


def _suspects(using: str) -> Iterator[Finding]:
    rows = WorkItem.objects.using(using).filter(deaths__gte=SUSPECT_DEATHS, state__in=[State.QUEUED, State.RUNNING])
    count = rows.count()
    if count:
        hint = "They run alone, and are quarantined if that goes on. `roost attempts ID` tells which workers died."
        text = f"{count} items have lost their worker twice or more without a step."
        yield Finding(check="suspects", level="warning", text=text, hint=hint)
    else:
        yield Finding(check="suspects", level="ok", text="No item is suspected of killing its workers.")


def _waits(using: str) -> Iterator[Finding]:
    late = clock.now(using) - dt.timedelta(seconds=OVERDUE_SECONDS)
    count = Wait.objects.using(using).filter(state=WaitState.OPEN, expires_at__lt=late).count()
    if count:
        hint = "Any live worker settles them within a second, but for those of paused items: see `roost waits list`."
        yield Finding(check="waits", level="warning", text=f"{count} waits are over and not settled.", hint=hint)
    else:
        yield Finding(check="waits", level="ok", text="No wait is overdue.")


def _schedules(using: str) -> Iterator[Finding]:
    late = clock.now(using) - dt.timedelta(seconds=OVERDUE_SECONDS)
    on = Schedule.objects.using(using).filter(enabled=True)
    failing, late_ones = on.exclude(error="").order_by("name"), on.filter(error="", fire_at__lt=late)
    wrong = [*failing[:SHOWN], *late_ones.order_by("fire_at")[:SHOWN]]
    for one in wrong:
        text = f"The schedule {one.name!r} of {one.namespace!r} {'could not fire' if one.error else 'is overdue'}."
        hint = one.error or "Any live worker fires schedules: start one, or see what keeps it with `roost doctor`."
        yield Finding(check="schedules", level="warning", text=text, hint=hint)
    if not wrong:
        yield Finding(check="schedules", level="ok", text="No schedule is overdue.")


def _retention(using: str) -> Iterator[Finding]:
    found = growth.forecast(using=using)
    text = growth.summary(found)
    if roost.RETENTION_DAYS is None:
        hint = "Set ROOST_RETENTION_DAYS, or run `roost prune --older-than DAYS` now and then."
        yield Finding(check="retention", level="warning", text=text, hint=hint)
    elif found.more:
        hint = "Workers prune a little at a time and seem to be behind: run `roost prune`."
        yield Finding(check="retention", level="warning", text=text, hint=hint)
    else:
        yield Finding(check="retention", level="ok", text=text)


def _storage() -> Finding:
    try:
        storage = artifacts.storage()
        name = storage.save(f"{artifacts.ASIDE}/{uuid.uuid4().hex}", ContentFile(b"roost"))
        storage.delete(name)
    except Exception as error:  # noqa: BLE001 - a storage may raise anything, and the finding tells it
        return Finding(
            check="storage",
            level="problem",
            text=f"The artifact storage {roost.ARTIFACT_STORAGE!r} takes no file: {type(error).__name__}: {error}",
            hint=f"Correct STORAGES[{roost.ARTIFACT_STORAGE!r}] or the rights of its folder or bucket.",
        )
    return Finding(check="storage", level="ok", text=f"The artifact storage {roost.ARTIFACT_STORAGE!r} takes files.")


_TABLES: tuple[Callable[[str], Iterator[Finding]], ...] = (
    _clock,
    _journal_mode,
    _workers,
    _leases,
    _due,
    _parked,
    _dead,
    _failing,
    _held,
    _suspects,
    _waits,
    _schedules,
    _retention,
)
